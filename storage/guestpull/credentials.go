package guestpull

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/trusted-store/trusted-store/internal/keyservice"
	"github.com/trusted-store/trusted-store/storage"
)

// credentials are what the caller's auth file has for one image.
type credentials struct {
	source  string // Options.AuthFile
	socket  string // of the key service
	helpers []string
	scopes  []string // of the image, the closest first

	mu    sync.Mutex
	file  *authFile // once it was read
	found *credential
	why   string // why they are of no use, for a person
}

// newCredentials reads a file at once, so that a wrong one is noticed. The key
// service is asked when a registry asks.
func newCredentials(domain, path string, o Options) (*credentials, error) {
	c := &credentials{source: o.AuthFile, socket: o.KeyService, helpers: o.CredentialHelpers, scopes: scopesOf(domain, path)}
	switch {
	case o.AuthFile == "":
		c.file = &authFile{}
	case keyservice.IsResource(o.AuthFile):
		if o.KeyService == "" {
			return nil, refuse(storage.ErrInvalid, "name the socket of the guest's key service", "credentials %s: no key service is known", quote(o.AuthFile))
		}
	default:
		text, err := readFile(strings.TrimPrefix(o.AuthFile, "file://"))
		if err == nil {
			c.file, err = parseAuthFile(text)
		}
		if err != nil {
			return nil, refuse(storage.ErrInvalid, authHint, "credentials %s: %w", quote(o.AuthFile), err)
		}
	}
	return c, nil
}

const authHint = "give a docker config, as docker login writes it"

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxAuthFile+1))
	if err == nil && len(text) > maxAuthFile {
		err = fmt.Errorf("it has more than %d bytes", maxAuthFile)
	}
	return text, err
}

// get returns those for the image; none is no error.
func (c *credentials) get(ctx context.Context) (credential, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found != nil {
		return *c.found, nil
	}
	if err := c.ask(ctx); err != nil {
		return credential{}, err
	}
	found, err := c.find(ctx)
	if err == nil {
		c.found = &found
	}
	return found, err
}

// serviceTime is how long the key service, or a helper, may take.
const serviceTime = 30 * time.Second

// ask gets the file from the guest's key service, unless it is there.
func (c *credentials) ask(ctx context.Context) error {
	if c.file != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, serviceTime)
	defer cancel()
	text, err := keyservice.Resource(ctx, c.socket, c.source)
	if err != nil {
		return refuse(ErrUnauthorized, "see that the key service has it, and gives it to this guest", "credentials %s: %w", quote(c.source), err)
	}
	defer text.Wipe()
	if c.file, err = parseAuthFile(text.Bytes()); err != nil {
		return refuse(storage.ErrInvalid, "keep a docker config there, as docker login writes it", "credentials %s: %w", quote(c.source), err)
	}
	return nil
}

// find takes the entry that is for the smallest part of the registry which the
// image is in.
func (c *credentials) find(ctx context.Context) (credential, error) {
	key, found := closest(c.file.Auths, c.scopes)
	helper, server := c.helper(key, found)
	switch {
	case helper != "" && c.mayRun(helper):
		return runHelper(ctx, helper, server)
	case found:
		c.why = fmt.Sprintf("those of %s for %s are not accepted", quote(c.source), quote(key))
	case c.source != "":
		c.why = fmt.Sprintf("%s has none for %s", quote(c.source), c.scopes[0])
	}
	if helper != "" {
		c.why = fmt.Sprintf("%s names the credential helper %s for it, which is run only when the caller names it too", quote(c.source), quote(helper))
	}
	own, err := c.file.Auths[key].credential()
	if err != nil {
		return own, refuse(storage.ErrInvalid, authHint, "credentials %s: the entry %s: %w", quote(c.source), quote(key), err)
	}
	return own, nil
}

// hint says what can be done when a registry refuses.
func (c *credentials) hint() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why // if empty, the kind of the error has one
}
