package securemount

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

const (
	maxIdempotencyKey = 128  // bytes
	rememberedKeys    = 4096 // the oldest are forgotten
)

// carriedOut are requests with an idempotency key that were carried out.
type carriedOut struct {
	mu    sync.Mutex
	byKey map[string]outcome
	order []string
}

type outcome struct {
	request [sha256.Size]byte
	uuid    string // of the store
}

func (c *carriedOut) get(key string) (outcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, known := c.byKey[key]
	return o, known
}

func (c *carriedOut) put(key string, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey == nil {
		c.byKey = map[string]outcome{}
	}
	c.byKey[key] = o
	if c.order = append(c.order, key); len(c.order) > rememberedKeys {
		delete(c.byKey, c.order[0])
		c.order = c.order[1:]
	}
}

// once has open carry a request out, unless one with its idempotency key was: then it
// returns what came of that, or why that is no more. Requests that failed are not
// remembered: they have left nothing.
func (s *Server) once(ctx context.Context, req *stores.OpenVolumeRequest, open func() (*storage.Status, error)) (*storage.Status, error) {
	key := req.GetIdempotencyKey()
	switch {
	case key == "":
		return open()
	case len(key) > maxIdempotencyKey:
		return nil, &InvalidRequestError{[]string{fmt.Sprintf("idempotency_key: longer than %d bytes", maxIdempotencyKey)}}
	}
	release, err := s.locks.acquire(ctx, "request "+key) // before mount points and devices
	if err != nil {
		return nil, err
	}
	defer release()
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return nil, err
	}
	this := outcome{request: sha256.Sum256(text)}
	if before, known := s.carriedOut.get(key); known {
		return repeat(ctx, req, this, before)
	}
	live, err := open()
	if err != nil {
		return nil, err
	}
	this.uuid = live.UUID
	s.carriedOut.put(key, this)
	return live, nil
}

// repeat answers a request that was carried out.
func repeat(ctx context.Context, req *stores.OpenVolumeRequest, this, before outcome) (*storage.Status, error) {
	if this.request != before.request {
		return nil, &InvalidRequestError{[]string{"idempotency_key: another request had it"}}
	}
	live, err := find(ctx, req.GetMountPoint())
	if err == nil && live.UUID == before.uuid {
		return live, nil
	}
	if err == nil || errors.Is(err, storage.ErrNotFound) {
		return nil, &GoneError{}
	}
	return nil, err
}

// GoneError is a request that was carried out before, and whose store is closed since.
type GoneError struct{}

// Error says what to do.
func (*GoneError) Error() string {
	return "the request with this idempotency_key was carried out, and its store is no longer there; a new idempotency_key asks for it once more"
}
