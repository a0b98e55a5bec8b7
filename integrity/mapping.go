package integrity

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// Mapping says which device becomes which mapping.
type Mapping struct {
	// Name is the whole name of the mapping, as "x_dif"; at most 79 bytes.
	Name string
	// UUID is the volume's. The mapping's own is CRYPT-INTEGRITY-<uuid without
	// dashes>-<name>, by which cryptsetup knows it.
	UUID uuid.UUID
	// Device is the open block device below. It must not be open exclusively,
	// here or elsewhere, nor mounted or mapped.
	Device *os.File
	// Layout is the device's, from [Plan], [PlanSeparate] or [Read].
	Layout Layout
	// Tags hold everything but the data of a separate layout; else nil.
	Tags *TagMemory
	Mode Mode
	// ReadOnly makes the mapping refuse writes.
	ReadOnly bool
}

// Format makes a new integrity layer and activates it as /dev/mapper/<name>. It
// writes the superblock and the journal, and no tags: every block is unreadable
// through dm-crypt until it is written. What was on the device is lost.
//
// On failure no mapping is left.
func Format(ctx context.Context, m Mapping) error {
	return opError("format", m.Name, m.activate(ctx, func() error {
		if m.Layout.Separate {
			return nil // the memory is new, and zero
		}
		return zeroSuperblock(m.Device, m.Layout.Offset)
	}))
}

// Activate activates an existing integrity layer as /dev/mapper/<name>, after
// its superblock was found to be exactly the layout's. It never formats.
//
// On failure no mapping is left.
func Activate(ctx context.Context, m Mapping) error {
	return opError("activate", m.Name, m.activate(ctx, m.checkSuperblock))
}

// Deactivate removes the mapping. While it is in use Deactivate tries again
// until ctx is done, then gives [ErrBusy]; without such a mapping it gives
// [ErrNotFound].
func Deactivate(ctx context.Context, name string) error {
	return opError("deactivate", name, dm.Deactivate(ctx, name))
}

// activate prepares the superblock, loads the table and compares what came of it.
func (m Mapping) activate(ctx context.Context, prepare func() error) error {
	table, err := m.table()
	if err != nil {
		return err
	}
	err = dm.Activate(ctx, dm.Activation{
		Name: m.Name, UUID: m.deviceUUID(), Below: m.Device, Table: table, Verify: m.verify,
		Load: func(c *dm.Control) error {
			if err := prepare(); err != nil {
				return err
			}
			return c.Load(m.Name, table, dm.LoadOptions{ReadOnly: m.ReadOnly})
		},
	})
	if errors.Is(err, dm.ErrTableDiffers) {
		return fmt.Errorf("%w: %w", ErrKernelDisagrees, err)
	}
	return err
}

func (m Mapping) deviceUUID() string {
	return "CRYPT-INTEGRITY-" + strings.ReplaceAll(m.UUID.String(), "-", "") + "-" + m.Name
}

// table builds the table of constants and of the layout's numbers, after the
// device was found to have the layout's size.
func (m Mapping) table() (dm.Table, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	number, err := dm.DeviceOf(m.Device)
	if err != nil {
		return nil, err
	}
	target := dm.Integrity{
		Device:            number,
		Offset:            m.Layout.Offset,
		TagSize:           TagSize,
		Mode:              'D',
		BlockSize:         BlockSize,
		FixPadding:        true,
		JournalSectors:    m.Layout.JournalSectors,
		InterleaveSectors: interleave,
		BufferSectors:     bufferSectors,
	}
	if m.Layout.Separate {
		if target.MetaDevice, err = m.Tags.number(); err != nil {
			return nil, err
		}
		target.InterleaveSectors, target.FixPadding = 1, false // no runs
	}
	if m.Mode == Journaled {
		target.Mode, target.JournalWatermark, target.CommitTime = 'J', journalWatermark, commitTime
	}
	return dm.Table{{Length: m.Layout.ProvidedSectors, Target: target}}, nil
}

// The kernel's own choices, spelt out so that the live table can be compared.
const (
	bufferSectors    = 128
	journalWatermark = 50    // percent
	commitTime       = 10000 // milliseconds
)

// again plans the layout from what it was planned from.
func (l Layout) again() (Layout, error) {
	if l.Separate {
		return PlanSeparate(l.DeviceSectors)
	}
	return Plan(l.DeviceSectors, l.Offset, l.Journal)
}

func (m Mapping) check() error {
	if m.Device == nil || m.Mode > Direct {
		return fmt.Errorf("%w: no device, or %v", ErrInvalid, m.Mode)
	}
	if m.Layout.Separate != (m.Tags != nil) {
		return fmt.Errorf("%w: tag memory is for a separate layout, and needed there", ErrInvalid)
	}
	want, err := m.Layout.again()
	if err != nil {
		return err
	}
	if want != m.Layout {
		return fmt.Errorf("%w: the layout was not made by Plan", ErrInvalid)
	}
	size, err := sectors(m.Device)
	if err != nil {
		return err
	}
	if size != m.Layout.DeviceSectors {
		return fmt.Errorf("%w: %s has %d sectors, want %d", ErrSizeChanged, m.Device.Name(), size, m.Layout.DeviceSectors)
	}
	return nil
}
