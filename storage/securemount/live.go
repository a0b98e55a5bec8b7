package securemount

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trusted-store/trusted-store/storage"
)

// lookUp returns the store that is live on the device, or nil. What a process that
// died left half-made there is taken away first.
func (m *mounting) lookUp(ctx context.Context) (*storage.Status, error) {
	list, err := storage.List(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		live := &list[i]
		named := live.DeviceNumber == "" && live.Name == m.r.MapperName
		if live.DeviceNumber != m.device && !named {
			continue
		}
		if !live.Unfinished {
			return live, nil
		}
		m.log.Warn("taking away what was left half-made", "store", live.Name, "device", m.device)
		if err := m.takeUnfinished(ctx, live.Name); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// takeUnfinished takes away what a process that died left, as its mark tells. A
// store at which somebody works at this moment is busy.
func (s *Server) takeUnfinished(ctx context.Context, name string) error {
	if err := storage.CloseUnfinished(ctx, name); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if link := s.linkOf(name); link != "" {
		s.dropLink(name)
		return removeLink(mapperDir+name, link)
	}
	return nil
}

// reuse makes of a live store what the request asks for, without touching what is
// on it, or says how the two differ.
func (m *mounting) reuse(ctx context.Context, live *storage.Status) error {
	live, err := storage.StatusOf(ctx, live.Name) // which also asks whether the device works
	if err != nil {
		return err
	}
	differ := m.differences(live)
	if len(differ) == 0 {
		difference, err := m.keyDifference(ctx, live)
		if err != nil {
			return err
		}
		if difference != "" {
			differ = append(differ, difference)
		}
	}
	if len(differ) > 0 {
		return &ConflictError{"device " + m.device + " is live as store " + live.Name, differ}
	}
	if err := m.attach(ctx, live); err != nil {
		return err
	}
	m.log.Info("store is live already", "store", live.Name, "device", m.device, "mount_point", m.r.MountPoint)
	return nil
}

// attach brings a live store to its mount point, if it is not there.
func (m *mounting) attach(ctx context.Context, live *storage.Status) error {
	switch {
	case m.r.Target == TargetDevice:
		if err := makeLink(live.Path, m.r.MountPoint); err != nil {
			return err
		}
		m.setLink(live.Name, m.r.MountPoint)
	case live.State == storage.StateMapped:
		_, err := storage.MountLive(ctx, live.Name, storage.MountOptions{
			MountPoint: m.r.MountPoint, MountFlags: m.r.MountFlags, Grow: storage.GrowLater, Logger: m.log,
		})
		return err
	}
	return nil
}

// differences compares what the kernel can tell.
func (m *mounting) differences(live *storage.Status) (differ []string) {
	add := func(format string, args ...any) { differ = append(differ, fmt.Sprintf(format, args...)) }
	for _, problem := range live.Problems {
		add("%s", problem)
	}
	if none := live.Integrity == "none"; none != (m.r.Integrity == storage.NoIntegrity) {
		add("its integrity is %s", live.Integrity)
	}
	if live.State == storage.StateSwap {
		add("the kernel swaps to it")
	}
	if aegis := live.Integrity == "aead"; aegis != (m.r.Cipher == storage.AEGIS128) {
		add("its cipher is %s", live.Cipher)
	}
	if m.r.MapperName != "" && m.r.MapperName != live.Name {
		add("its name is not %s", m.r.MapperName)
	}
	link := m.linkOf(live.Name)
	switch {
	case m.r.Target == TargetDevice && len(live.Mounts) > 0:
		add("it is mounted at %s, not a device", live.Mounts[0].Dir)
	case link != "" && (m.r.Target == TargetFilesystem || link != m.r.MountPoint):
		add("it is a device at %s", link)
	case len(live.Mounts) > 0:
		if text := m.mountDifference(live.Mounts); text != "" {
			add("%s", text)
		}
	}
	return differ
}

func (m *mounting) mountDifference(mounts []storage.Mount) string {
	at := slices.IndexFunc(mounts, func(mount storage.Mount) bool { return mount.Dir == m.r.MountPoint })
	if at < 0 {
		return "it is mounted at " + mounts[0].Dir
	}
	have := strings.Split(mounts[at].Options, ",")
	for name, flag := range map[string]storage.MountFlags{"ro": storage.ReadOnly, "noexec": storage.NoExec} {
		if slices.Contains(have, name) != (m.r.MountFlags&flag != 0) {
			return "it is mounted " + mounts[at].Options
		}
	}
	return ""
}

// keyDifference compares the key with that of the live store.
func (m *mounting) keyDifference(ctx context.Context, live *storage.Status) (string, error) {
	if m.key != nil {
		err := storage.CheckKey(ctx, live.Device, m.key)
		if errors.Is(err, storage.ErrWrongKey) {
			return "its key is another one", nil
		}
		return "", err
	}
	keyed := live.Journal == "journaled"
	if live.Integrity == "none" {
		slots, err := storage.Keys(ctx, live.Device)
		if err != nil {
			return "", err
		}
		keyed = len(slots) > 0
	}
	if keyed {
		return "it has a key from outside, not a random one", nil
	}
	return "", nil
}

// ConflictError is a request that differs from what is live.
type ConflictError struct {
	What   string
	Differ []string
}

// Error lists the differences, and what can be done.
func (e *ConflictError) Error() string {
	return e.What + ", but " + strings.Join(e.Differ, "; ") + "; unmount it first, or send the request that made it"
}
