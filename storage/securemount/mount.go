package securemount

import (
	"context"
	"errors"
	"time"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// SecureMount is part of the protocol: it makes or opens a store, or finds that it
// is live already, and returns when it can be used.
func (s *Server) SecureMount(ctx context.Context, req *cdh.SecureMountRequest) (*cdh.SecureMountResponse, error) {
	s.mounting.Add(1)
	defer s.mounting.Add(-1)
	began := time.Now()
	r, err := ParseRequest(req)
	if err != nil {
		s.log.Warn("request refused", "err", err)
		return nil, statusOf(err)
	}
	if err := s.mount(ctx, &r); err != nil {
		s.log.Error("secure mount failed", "mount_point", r.MountPoint, "took", time.Since(began), "err", err)
		return nil, statusOf(err)
	}
	return &cdh.SecureMountResponse{}, nil
}

func (s *Server) mount(ctx context.Context, r *Request) error {
	device, err := r.device()
	if err != nil {
		return err
	}
	if err := s.opts.Policy.allow(r, device); err != nil {
		return err
	}
	key, err := s.loadKey(ctx, r.Key)
	if err != nil {
		return err
	}
	defer key.Wipe()
	m := &mounting{s, r, device, key}
	name, made, err := m.findOrMake(ctx)
	if err != nil || r.Target == TargetDevice || r.MountFlags&storage.ReadOnly != 0 {
		return err
	}
	return m.awaitSize(ctx, name, made)
}

// mounting is one request under way.
type mounting struct {
	*Server
	r      *Request
	device string
	key    *storage.Key // nil: random
}

// findOrMake returns the name of the store that is what was asked for, and the store
// itself if it was made just now.
func (m *mounting) findOrMake(ctx context.Context) (name string, made *storage.Store, err error) {
	for _, lock := range []string{"mount point " + m.r.MountPoint, deviceLock(m.device)} {
		release, err := m.locks.acquire(ctx, lock)
		if err != nil {
			return "", nil, err
		}
		defer release()
	}
	if err := m.r.checkMountPoint(); err != nil {
		return "", nil, err
	}
	live, err := m.lookUp(ctx)
	switch {
	case err != nil:
		return "", nil, err
	case live != nil:
		return live.Name, nil, m.reuse(ctx, live)
	}
	if made, err = m.make(ctx); err != nil {
		return "", nil, err
	}
	return made.Name(), made, nil
}

func deviceLock(number string) string { return "device " + number }

func (m *mounting) make(ctx context.Context) (*storage.Store, error) {
	began := time.Now()
	dir := m.r.MountPoint
	if m.r.Target == TargetDevice {
		dir = storage.NoMount
		if err := checkLink(m.r.MountPoint); err != nil {
			return nil, err
		}
	}
	store, err := m.createOrOpen(ctx, dir)
	if m.opts.SetUp != nil {
		m.opts.SetUp(m.r.Source == SourceEmpty, time.Since(began), err)
	}
	if err != nil {
		return nil, err
	}
	m.dropLink(store.Name()) // of one of that name that somebody else took away
	if m.r.Target == TargetDevice {
		if err := makeLink(store.Path(), m.r.MountPoint); err != nil {
			return nil, errors.Join(err, store.Close())
		}
		m.setLink(store.Name(), m.r.MountPoint)
	}
	m.log.Info("store is usable", "store", store.Name(), "device", m.device, "mount_point", m.r.MountPoint,
		"formatted", m.r.Source == SourceEmpty, "integrity", m.r.Integrity.String(), "cipher", m.r.Cipher.String(), "key", m.r.Key.String(),
		"took", time.Since(began))
	return store, nil
}

func (m *mounting) createOrOpen(ctx context.Context, dir string) (*storage.Store, error) {
	if m.r.Source == SourceEmpty {
		return storage.Create(ctx, m.device, storage.CreateOptions{
			Key: m.key, Name: m.r.MapperName, MountPoint: dir, MountFlags: m.r.MountFlags,
			Integrity: m.r.Integrity, Cipher: m.r.Cipher, Overwrite: storage.OverwriteAnything, Filesystem: m.r.Filesystem,
			Grow: storage.GrowLater, Logger: m.log,
		})
	}
	return storage.Open(ctx, m.device, m.key, storage.OpenOptions{
		Name: m.r.MapperName, MountPoint: dir, MountFlags: m.r.MountFlags,
		Integrity: m.r.Integrity, Cipher: m.r.Cipher, Grow: storage.GrowLater, Logger: m.log,
	})
}

// awaitSize lets the filesystem grow to what the caller is promised, and from there
// on in the background. A caller that goes away meanwhile leaves a store that is
// whole: it stays, grows, and is found by the next request. Where growing fails, a
// store that was made for this request is taken away again.
func (m *mounting) awaitSize(ctx context.Context, name string, made *storage.Store) error {
	err := m.growAtOnce(ctx, name)
	if err != nil && ctx.Err() == nil && made != nil {
		return errors.Join(err, m.takeBack(made))
	}
	if err == nil || ctx.Err() != nil {
		m.growers.start(name)
	}
	return err
}

// growAtOnce lets the filesystem have what it must have when the request is
// answered.
func (m *mounting) growAtOnce(ctx context.Context, name string) error {
	size := m.opts.MinSize
	if size == 0 {
		live, err := storage.StatusOf(ctx, name)
		if err != nil || !atOnce(live.Growth) {
			return err
		}
	}
	return m.growTo(ctx, name, size)
}

// takeBack closes a store that was made for this request. What somebody else has
// made since, under its name, stays.
func (m *mounting) takeBack(made *storage.Store) error {
	release, err := m.locks.acquire(context.Background(), deviceLock(m.device))
	if err != nil {
		return err
	}
	defer release()
	return made.Close()
}
