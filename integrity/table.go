package integrity

import (
	"fmt"
	"os"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// table builds the table of constants and of the layout's numbers.
func (m Mapping) table(below *os.File) (dm.Table, error) {
	number, err := dm.DeviceOf(below)
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
	if l.JournalSections == 0 || uint64(l.JournalSections) > l.Journal.sections(l.DeviceSectors) {
		return Plan(l.DeviceSectors, l.Offset, l.Journal)
	}
	return l.Resize(l.DeviceSectors)
}

func (m Mapping) check() error {
	if m.Device == nil || m.Mode > Direct {
		return fmt.Errorf("%w: no device, or %v", ErrInvalid, m.Mode)
	}
	if m.Layout.Separate != (m.Tags != nil) || !m.Layout.Separate && m.DataStart != 0 {
		return fmt.Errorf("%w: tag memory and a start of the data are for a separate layout, and needed there", ErrInvalid)
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
	if !m.fits(size) {
		return fmt.Errorf("%w: %s has %d sectors, want %d", ErrSizeChanged, m.Device.Name(), size, m.DataStart+m.Layout.DeviceSectors)
	}
	return nil
}

// fits reports whether the layout is for a device of that size. The data of a
// separate one may be a part of it.
func (m Mapping) fits(size uint64) bool {
	if m.Layout.Separate {
		return size >= m.Layout.DeviceSectors && size-m.Layout.DeviceSectors >= m.DataStart
	}
	return size&^(blockSectors-1) == m.Layout.DeviceSectors
}
