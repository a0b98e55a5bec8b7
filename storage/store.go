package storage

import (
	"context"
	"encoding/hex"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// Store is a volume that is mapped and, unless asked otherwise, mounted. Its
// owner calls [Store.Close]; without it the store stays until the machine stops
// or somebody else closes it by name.
type Store struct {
	name, mountPoint string
	id               uuid.UUID
	header           *HeaderState
	disk             uint64                  // number of the mapping, if its key is lent: see lentKeys
	growing          atomic.Pointer[growing] // nil: does not grow in the background

	mu     sync.Mutex
	closed bool
}

// Name returns the name of the mapping, as "encrypted_disk_K7Q2A".
func (s *Store) Name() string { return s.name }

// Path returns the node of the mapping, /dev/mapper/NAME.
func (s *Store) Path() string { return dm.Path(s.name) }

// MountPoint returns the directory where the store is mounted; empty when only
// the mapping was asked for.
func (s *Store) MountPoint() string { return s.mountPoint }

// UUID returns the volume's UUID.
func (s *Store) UUID() uuid.UUID { return s.id }

// Header returns what the volume key said of the header when the store was created or
// opened; nil for an ephemeral one.
func (s *Store) Header() *HeaderState { return s.header }

// Status returns what is live of the store, and its header as [Store.Header] has it.
func (s *Store) Status(ctx context.Context) (*Status, error) {
	status, err := StatusOf(ctx, s.name)
	if err == nil && s.header != nil {
		status.Header = &HeaderStatus{hex.EncodeToString(s.header.Volume[:]), s.header.Epoch > 0, s.header.Epoch}
	}
	return status, err
}

// Close stops growing in the background, which takes no longer than one step of
// [Grow], unmounts the store and removes its mappings and the key in the kernel, as
// the function [Close] does. It may be called more than once; after a failure, such
// as [ErrBusy] while a file is open, it grows on, and Close may be tried again. A
// store that somebody else closed already is closed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	resume := s.stopGrowing()
	// Another store of that name made since is not ours: hence the UUID.
	err := closeStore(context.Background(), s.name, s.id)
	if err != nil && !errors.Is(err, dm.ErrNotFound) {
		resume()
		return failure("close", s.name, "", err)
	}
	s.closed = true
	return nil
}
