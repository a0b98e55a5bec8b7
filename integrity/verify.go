package integrity

import (
	"fmt"

	"github.com/trusted-store/trusted-store/internal/dm"
)

func (m Mapping) checkSuperblock() error {
	on := m.Device
	if m.Layout.Separate {
		on = m.Tags.file
	}
	s, err := readSuperblock(on, m.Layout.Offset)
	if err != nil {
		return err
	}
	if violations := s.Check(m.Layout); len(violations) > 0 {
		return &RejectedError{violations}
	}
	return nil
}

// verify compares what the kernel made of the device, beyond the table, with
// what was meant. The kernel read the superblock by itself, and a host can answer
// it differently.
func (m Mapping) verify(c *dm.Control) error {
	status, err := c.IntegrityStatus(m.Name)
	if err != nil {
		return err
	}
	if err := m.checkStatus(status); err != nil {
		return err
	}
	return m.checkSuperblock()
}

func (m Mapping) checkStatus(s dm.IntegrityStatus) error {
	if s.ProvidedSectors != m.Layout.ProvidedSectors || s.Recalculating {
		return fmt.Errorf("%w: %d provided sectors, recalculating: %t; want %d sectors and no recalculation",
			ErrKernelDisagrees, s.ProvidedSectors, s.Recalculating, m.Layout.ProvidedSectors)
	}
	return nil
}
