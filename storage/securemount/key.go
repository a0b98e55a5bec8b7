package securemount

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// keyTimeout is how long the service that has a key may take: callers that set no
// limit of their own must not wait for good.
const keyTimeout = 30 * time.Second

// loadKey returns the key, which is the caller's to wipe, or nil for a random one.
func (s *Server) loadKey(ctx context.Context, source KeySource) (*storage.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	switch source.kind {
	case keyFile:
		return s.readKey(ctx, source.from)
	case keyResource:
		return s.askForKey(ctx, source, "api.GetResourceService", "GetResource", &cdh.GetResourceRequest{ResourcePath: source.from})
	case keySealed:
		return s.askForKey(ctx, source, "api.SealedSecretService", "UnsealSecret", &cdh.UnsealSecretInput{Secret: []byte(source.from)})
	}
	return nil, nil
}

// readKey reads a key's file. A pipe is refused: who would write to it?
func (s *Server) readKey(ctx context.Context, path string) (*storage.Key, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &InvalidRequestError{[]string{fmt.Sprintf("key file://%s: no regular file", path)}}
	}
	file, err := storage.ParseKeySource("file:" + path)
	if err != nil {
		return nil, err
	}
	return file.Load(ctx, s.log)
}

func (s *Server) askForKey(ctx context.Context, source KeySource, service, method string, request proto.Message) (*storage.Key, error) {
	if s.opts.Upstream == "" {
		return nil, &KeyError{source, fmt.Errorf("this service knows no socket of %s", service)}
	}
	response, err := callForSecret(ctx, s.opts.Upstream, service, method, request)
	if err != nil {
		return nil, &KeyError{source, fmt.Errorf("%s at %s: %w", service, s.opts.Upstream, err)}
	}
	defer response.Wipe()
	value, err := secretOf(response.Bytes())
	if err != nil {
		return nil, &KeyError{source, fmt.Errorf("%s at %s: %w", service, s.opts.Upstream, err)}
	}
	return storage.NewKey(value)
}

// KeyError is a key that the service could not get.
type KeyError struct {
	Source KeySource
	Err    error
}

// Error says which key, and why.
func (e *KeyError) Error() string { return "get key " + e.Source.String() + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Err }
