package securemount

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/trusted-store/trusted-store/internal/keyservice"
	"github.com/trusted-store/trusted-store/internal/secret"
	"github.com/trusted-store/trusted-store/storage"
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
		return s.askForKey(ctx, source, keyservice.Resource)
	case keySealed:
		return s.askForKey(ctx, source, keyservice.Unseal)
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

// askForKey has ask, a function of package keyservice, get the key.
func (s *Server) askForKey(ctx context.Context, source KeySource, ask func(ctx context.Context, socket, what string) (*secret.Bytes, error)) (*storage.Key, error) {
	value, err := ask(ctx, s.opts.Upstream, source.from)
	if err != nil {
		return nil, &KeyError{source, err}
	}
	defer value.Wipe()
	return storage.NewKey(value.Bytes())
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
