package cryptsetup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/keyring"
)

// Mapping says what becomes which decrypted device.
type Mapping struct {
	// Name is the name of the mapping; its node is /dev/mapper/<name>. At most
	// 83 bytes.
	Name string
	// UUID is the volume's. The mapping's own is CRYPT-LUKS2-<uuid without
	// dashes>-<name>, by which cryptsetup knows it.
	UUID uuid.UUID
	// Device is the open block device below: the integrity layer, or the raw
	// device with [None]. It must not be open exclusively,
	// here or elsewhere, nor mounted or mapped.
	Device *os.File
	// Offset is where the data starts on Device, in sectors of 512 bytes: 0 on
	// an integrity layer, [DataOffset] on a raw device.
	Offset uint64
	// Sectors is the size of the mapping in sectors of 512 bytes, a multiple of 8.
	Sectors   uint64
	Integrity Integrity
	// ReadOnly makes the mapping refuse writes.
	ReadOnly bool
	// NoWriteWorkqueue has whoever writes encrypt: the kernel's writeback, or the
	// program that syncs. Without it all CPUs do, from a queue, and all that
	// writeback has, up to a fifth of the memory, is ahead of every read and sync.
	NoWriteWorkqueue bool
}

// Activate makes /dev/mapper/<name>, which encrypts, decrypts and, but
// for [None], authenticates what lies on m.Device. The kernel gets the key as
// a logon key of one thread for the time of one call; the live table names it
// and does not hold it. The table is read back and compared, and on any failure
// no mapping and no key are left.
//
// It needs CAP_SYS_ADMIN. key stays the caller's.
func Activate(ctx context.Context, m Mapping, key *VolumeKey) error {
	return activationError("activate", m.Name, m.activate(ctx, key))
}

// Deactivate removes the mapping, and with it the kernel's copy of the key.
// While it is in use Deactivate tries again until ctx is done, then gives
// [ErrBusy]; without such a mapping it gives [ErrNotActive].
func Deactivate(ctx context.Context, name string) error {
	return activationError("deactivate", name, dm.Deactivate(ctx, name))
}

func (m Mapping) activate(ctx context.Context, key *VolumeKey) error {
	table, err := m.table()
	if err != nil {
		return err
	}
	if key.Len() != VolumeKeySize(m.Integrity) {
		return fmt.Errorf("%w: %d bytes, integrity %v needs %d",
			ErrVolumeKeyMismatch, key.Len(), m.Integrity, VolumeKeySize(m.Integrity))
	}
	return dm.Activate(ctx, m.activation(table, func(c *dm.Control) error { return m.load(c, table, key) }))
}

func (m Mapping) activation(expected dm.Table, load func(*dm.Control) error) dm.Activation {
	return dm.Activation{Name: m.Name, UUID: m.deviceUUID(), Below: m.Device, Table: expected, Load: load}
}

// load lends the key to the kernel for the time of the load.
func (m Mapping) load(c *dm.Control, table dm.Table, key *VolumeKey) error {
	err := keyring.WithLogonKey(m.keyDescription(), key.Bytes(), func() error {
		return c.Load(m.Name, table, dm.LoadOptions{ReadOnly: m.ReadOnly, SecureData: true})
	})
	if errors.Is(err, keyring.ErrNotSupported) {
		return fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	return err
}

func (m Mapping) keyDescription() string { return KeyDescription(m.UUID) }

// KeyDescription returns the name by which a live table refers to the volume's key:
// the one that cryptsetup gives to the logon key of digest 0.
func KeyDescription(volume uuid.UUID) string { return "cryptsetup:" + volume.String() + "-d0" }

func (m Mapping) deviceUUID() string {
	return "CRYPT-LUKS2-" + strings.ReplaceAll(m.UUID.String(), "-", "") + "-" + m.Name
}
