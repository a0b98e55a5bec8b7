package integrity

import "os"

// Read reads the superblock at sector offset of a device and returns its layout:
// the one of [DefaultJournal] or of [MinimalJournal] for the device's present
// size. Any other superblock gives a [*RejectedError], compared with the nearer
// of the two. A device that has grown or shrunk since it was formatted is
// rejected too (rule [RuleProvided]).
//
// The answer is about what was read: [Activate] takes it, and does not read again.
func Read(device *os.File, offset uint64) (Layout, error) {
	l, err := read(device, offset)
	return l, opError("read", device.Name(), err)
}

func read(device *os.File, offset uint64) (Layout, error) {
	size, err := sectors(device)
	if err != nil {
		return Layout{}, err
	}
	s, err := readSuperblock(device, offset)
	if err != nil {
		return Layout{}, err
	}
	return s.Layout(size, offset)
}

// Layout returns the layout that this superblock is right for on a device of so
// many sectors, or a [*RejectedError]. It is pure.
func (s Superblock) Layout(deviceSectors, offset uint64) (Layout, error) {
	minimal, err := Plan(deviceSectors, offset, MinimalJournal)
	if err != nil {
		return Layout{}, err
	}
	violations := s.Check(minimal)
	if len(violations) == 0 {
		return minimal, nil
	}
	// On a very small device only the minimal journal fits.
	larger, err := Plan(deviceSectors, offset, DefaultJournal)
	if err != nil || s.JournalSections == minimal.JournalSections {
		return Layout{}, &RejectedError{violations}
	}
	if violations = s.Check(larger); len(violations) == 0 {
		return larger, nil
	}
	return Layout{}, &RejectedError{violations}
}
