package integrity

import (
	"fmt"
	"strconv"
	"strings"

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
	status, err := c.Status(m.Name)
	if err != nil {
		return err
	}
	if err := m.checkStatus(status); err != nil {
		return err
	}
	return m.checkSuperblock()
}

// checkStatus reads "<mismatches> <provided sectors> <recalculated or ->".
func (m Mapping) checkStatus(status []dm.LiveLine) error {
	if len(status) != 1 {
		return fmt.Errorf("%w: status of %d lines, want 1", ErrKernelDisagrees, len(status))
	}
	fields := strings.Fields(status[0].Params)
	want := strconv.FormatUint(m.Layout.ProvidedSectors, 10)
	if len(fields) != 3 || fields[1] != want || fields[2] != "-" {
		return fmt.Errorf("%w: status %q, want %s provided sectors and no recalculation",
			ErrKernelDisagrees, status[0].Params, want)
	}
	return nil
}
