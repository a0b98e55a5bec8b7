package securemount

import (
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

// message says of a store what the protocol has a place for.
func message(live *storage.Status) *stores.Store {
	m := &stores.Store{
		Name: live.Name, State: string(live.State), Problems: live.Problems, Uuid: live.UUID,
		Device: live.DeviceNumber, DeviceBytes: live.DeviceBytes, Path: live.Path,
		Integrity: live.Integrity, Cipher: live.Cipher,
	}
	for _, p := range live.Promises {
		m.Promises = append(m.Promises, string(p))
	}
	for _, mount := range live.Mounts {
		m.Mounts = append(m.Mounts, &stores.Mount{Dir: mount.Dir, Options: mount.Options})
	}
	if f := live.Filesystem; f != nil {
		m.Filesystem = &stores.Filesystem{Type: f.Type, Bytes: f.Bytes, AvailableBytes: f.AvailableBytes}
		if live.Growth != nil {
			m.Filesystem.GrownBytes, m.Filesystem.FullBytes = live.Growth.Bytes, live.Growth.Target
		}
	}
	return m
}
