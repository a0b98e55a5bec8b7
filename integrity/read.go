package integrity

import (
	"fmt"
	"os"
)

// Read reads the superblock at sector offset of a device and returns the layout of
// that layer on the device's present size, as [Superblock.Layout] does.
//
// The answer is about what was read: [Activate] takes it, and does not read again.
func Read(device *os.File, offset uint64) (Layout, error) {
	_, l, err := ReadSuperblock(device, offset)
	return l, err
}

// ReadSuperblock is [Read] for a caller who also wants to know what was read. Where
// that provides less than the layout, the device was enlarged since it was written.
func ReadSuperblock(device *os.File, offset uint64) (Superblock, Layout, error) {
	s, l, err := read(device, offset)
	return s, l, opError("read", device.Name(), err)
}

func read(device *os.File, offset uint64) (s Superblock, l Layout, err error) {
	size, err := sectors(device)
	if err != nil {
		return s, l, err
	}
	if s, err = readSuperblock(device, offset); err != nil {
		return s, l, err
	}
	l, err = s.Layout(size, offset)
	return s, l, err
}

// Layout returns the layout, on a device of so many sectors, of the layer that has
// this superblock at sector offset. It must be the superblock that the layer gets on
// a device of some size, up to this one, with [DefaultJournal] or [MinimalJournal],
// or got when that device was enlarged. It is pure.
//
// Any other one gives a [*RejectedError]. One that needs a larger device gives a
// [*ShrunkError].
func (s Superblock) Layout(deviceSectors, offset uint64) (Layout, error) {
	own, known := s.own(offset)
	s.Log2BlocksPerBitmapBit = own.sameBitmap(s.Log2BlocksPerBitmapBit)
	if !known || len(s.Check(own)) > 0 {
		return Layout{}, s.reject(deviceSectors, offset)
	}
	if own.DeviceSectors > deviceSectors {
		return Layout{}, shrunk(own.DeviceSectors*sectorSize, deviceSectors*sectorSize)
	}
	return own.Resize(deviceSectors)
}

// own is the layout on the smallest device that provides what the superblock says;
// false where its journal is none that such a device, or a smaller one, gets.
func (s Superblock) own(offset uint64) (Layout, bool) {
	sections, data := uint64(s.JournalSections), s.ProvidedSectors
	if sections == 0 || sections > maxSections || data == 0 || data%blockSectors != 0 ||
		data > maxDeviceSectors/2 || offset > maxDeviceSectors/4 {
		return Layout{}, false
	}
	l := Layout{Offset: offset, JournalSections: s.JournalSections, ProvidedSectors: data}
	if sections == 1 {
		l.Journal = MinimalJournal
	}
	size := offset + superblockSectors + sections*JournalSection + l.TagSectors() + data
	largest := size // that provides no more
	if data%interleave == 0 {
		largest += metadataRun
	}
	own, err := plan(size, offset, l.Journal, sections)
	return own, err == nil && sections <= l.Journal.sections(largest)
}

// sameBitmap returns the layout's number in the place of one that the kernel has
// left as it was when the device was smaller.
func (l Layout) sameBitmap(number uint8) uint8 {
	const least = log2BitmapSectors - 3 // of 8 sectors in a block
	if now := l.log2BitmapBlocks(); number >= least && number < now {
		return now
	}
	return number
}

// reject compares with the nearer of the two superblocks that a new layer has on a
// device of this size.
func (s Superblock) reject(deviceSectors, offset uint64) error {
	minimal, err := Plan(deviceSectors, offset, MinimalJournal)
	if err != nil {
		return err
	}
	// On a very small device only the minimal journal fits.
	near, err := Plan(deviceSectors, offset, DefaultJournal)
	if err != nil || s.JournalSections == minimal.JournalSections {
		near = minimal
	}
	return &RejectedError{s.Check(near)}
}

// ShrunkError says that a device is smaller than its superblock needs: it shrank, or
// the superblock is another device's. It is a [*RejectedError], and an [ErrShrunk].
type ShrunkError struct {
	Need, Have uint64 // bytes
	Rejected   RejectedError
}

func shrunk(need, have uint64) *ShrunkError {
	e := &ShrunkError{Need: need, Have: have}
	e.Rejected.Violations = []Violation{{RuleProvided, e.Error()}}
	return e
}

// Error says how many bytes are needed, and how many are there.
func (e *ShrunkError) Error() string {
	return fmt.Sprintf("the device shrank: the layer needs %d bytes, it has %d", e.Need, e.Have)
}

// Unwrap returns the two that it also is.
func (e *ShrunkError) Unwrap() []error { return []error{&e.Rejected, ErrShrunk} }
