package securemount

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

// Unmount is part of the protocol: it takes a store away.
func (s *Server) Unmount(ctx context.Context, req *stores.UnmountRequest) (*stores.UnmountResponse, error) {
	err := s.unmount(ctx, req.GetStore())
	if err != nil {
		s.log.Error("unmount failed", "store", req.GetStore(), "err", err)
	}
	return &stores.UnmountResponse{}, statusOf(err)
}

func (s *Server) unmount(ctx context.Context, what string) error {
	live, err := find(ctx, what)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	release, err := s.locks.acquire(ctx, deviceLock(live.DeviceNumber))
	if err != nil {
		return err
	}
	defer release()
	if target, err := os.Readlink(filepath.Clean(what)); err == nil && target == live.Path {
		s.setLink(live.Name, filepath.Clean(what)) // it may be from before this service
	}
	if err := s.takeAway(ctx, live.Name); err != nil {
		return err
	}
	s.log.Info("store is taken away", "store", live.Name, "device", live.DeviceNumber)
	return nil
}

// takeAway closes a store, its link with it. It does not stop half-way when the
// caller goes away.
func (s *Server) takeAway(ctx context.Context, name string) error {
	resume := s.growers.stop(name)
	err := storage.Close(context.WithoutCancel(ctx), name)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		resume()
		return err
	}
	if link := s.linkOf(name); link != "" {
		s.dropLink(name)
		return removeLink(mapperDir+name, link)
	}
	return nil
}

// Status is part of the protocol.
func (s *Server) Status(ctx context.Context, req *stores.StatusRequest) (*stores.StatusResponse, error) {
	live, err := find(ctx, req.GetStore())
	if err == nil {
		live, err = storage.StatusOf(ctx, live.Name)
	}
	if err != nil {
		return nil, statusOf(err)
	}
	return &stores.StatusResponse{Store: message(live)}, nil
}

// List is part of the protocol.
func (s *Server) List(ctx context.Context, _ *stores.ListRequest) (*stores.ListResponse, error) {
	list, err := storage.List(ctx)
	if err != nil {
		return nil, statusOf(err)
	}
	response := &stores.ListResponse{}
	for i := range list {
		response.Stores = append(response.Stores, message(&list[i]))
	}
	return response, nil
}

// Grow is part of the protocol: it waits until a store has a size.
func (s *Server) Grow(ctx context.Context, req *stores.GrowRequest) (*stores.GrowResponse, error) {
	live, err := find(ctx, req.GetStore())
	if err != nil {
		return nil, statusOf(err)
	}
	if growable(live) {
		s.growers.start(live.Name)
	}
	err = s.growTo(ctx, live.Name, req.GetBytes())
	if err != nil {
		return nil, statusOf(err)
	}
	live, err = storage.StatusOf(ctx, live.Name)
	if err != nil {
		return nil, statusOf(err)
	}
	return &stores.GrowResponse{Store: message(live)}, nil
}

// Health is part of the protocol.
func (s *Server) Health(context.Context, *stores.HealthRequest) (*stores.HealthResponse, error) {
	return &stores.HealthResponse{
		Version: s.opts.Version, Mounting: uint32(s.mounting.Load()), Growing: uint32(s.growers.count()),
	}, nil
}

// find returns the live store of that name, mounted at that directory, linked to
// from that path, or on that device; storage.ErrNotFound when there is none.
func find(ctx context.Context, what string) (*storage.Status, error) {
	list, err := storage.List(ctx)
	if err != nil {
		return nil, err
	}
	is := matcher(what)
	for i := range list {
		if is(&list[i]) {
			return &list[i], nil
		}
	}
	return nil, &storage.Error{Op: "find", What: quote(what), Kind: storage.ErrNotFound, Err: storage.ErrNotFound}
}

func matcher(what string) func(*storage.Status) bool {
	if !strings.HasPrefix(what, "/") {
		return func(s *storage.Status) bool { return what != "" && (s.Name == what || s.DeviceNumber == what) }
	}
	dir := filepath.Clean(what)
	target, _ := os.Readlink(dir)
	number, isDevice := blockNumber(dir)
	return func(s *storage.Status) bool {
		if isDevice {
			return s.Number == number || s.DeviceNumber == number
		}
		mounted := func() bool {
			for _, m := range s.Mounts {
				if m.Dir == dir {
					return true
				}
			}
			return false
		}
		return s.Path == dir || s.Path == target || mounted()
	}
}
