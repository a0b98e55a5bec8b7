package guestpull

import (
	"context"
	"fmt"
	"strings"

	"github.com/trusted-store/trusted-store/internal/keyservice"
	"github.com/trusted-store/trusted-store/storage"
)

// Source is where a file of the configuration comes from. It is read anew for each
// pull, and is public: the memory that it was in is not wiped.
type Source struct {
	// URI is a path, file://PATH, or a resource of the guest's key service,
	// kbs:///REPOSITORY/TYPE/TAG. It comes before Text.
	URI string
	// Text is the file itself.
	Text []byte
}

// Given reports whether there is a file.
func (s Source) Given() bool { return s.URI != "" || len(s.Text) > 0 }

func (s Source) String() string {
	if s.URI == "" && s.Given() {
		return "in the configuration"
	}
	return quote(s.URI)
}

// maxSource bounds a file of the configuration, in bytes.
const maxSource = 1 << 20

// read returns the file. what says in errors what it is.
func (s Source) read(ctx context.Context, what string, o Options) ([]byte, error) {
	switch {
	case s.URI == "":
		return s.Text, nil
	case !keyservice.IsResource(s.URI):
		text, err := readFile(strings.TrimPrefix(s.URI, "file://"))
		if err != nil {
			return nil, refuse(storage.ErrInvalid, "", "%s %v: %w", what, s, err)
		}
		return text, nil
	case o.KeyService == "":
		return nil, refuse(storage.ErrInvalid, "name the socket of the guest's key service", "%s %v: no key service is known", what, s)
	}
	ctx, cancel := context.WithTimeout(ctx, serviceTime)
	defer cancel()
	text, err := keyservice.Resource(ctx, o.KeyService, s.URI)
	if err == nil && len(text.Bytes()) > maxSource {
		text.Wipe()
		err = fmt.Errorf("it has more than %d bytes", maxSource)
	}
	if err != nil {
		return nil, refuse(storage.ErrInvalid, "see that the key service has it, and gives it to this guest", "%s %v: %w", what, s, err)
	}
	defer text.Wipe()
	return append([]byte(nil), text.Bytes()...), nil
}
