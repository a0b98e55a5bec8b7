package integrity

import (
	"fmt"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// verify compares what the kernel made of the layer, beyond the table, with what
// was meant: its status, and the superblock that it has left in memory.
func (m Mapping) verify(c *dm.Control, metadata *memory) error {
	status, err := c.IntegrityStatus(m.Name)
	if err != nil {
		return err
	}
	if err := m.checkStatus(status); err != nil {
		return err
	}
	s, err := metadata.superblock()
	if err != nil {
		return err
	}
	if violations := s.Check(m.Layout); len(violations) > 0 {
		return fmt.Errorf("%w: %w", ErrKernelDisagrees, &RejectedError{violations})
	}
	return nil
}

func (m Mapping) checkStatus(s dm.IntegrityStatus) error {
	if s.ProvidedSectors != m.Layout.ProvidedSectors || s.Recalculating {
		return fmt.Errorf("%w: %d provided sectors, recalculating: %t; want %d sectors and no recalculation",
			ErrKernelDisagrees, s.ProvidedSectors, s.Recalculating, m.Layout.ProvidedSectors)
	}
	return nil
}
