package storage

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// InspectOptions are the options of [Inspect]. The zero value judges what a
// volume with integrity must be.
type InspectOptions struct {
	// Profile is what is accepted in the header.
	Profile cryptsetup.Profile
	// HeaderOnly leaves the integrity superblock out.
	HeaderOnly bool
}

// Inspection is what a device or file says of itself, and the verdict.
type Inspection struct {
	Name   string             `json:"name"`
	Bytes  uint64             `json:"bytes"` // size of the device or file
	Header *cryptsetup.Report `json:"header"`
	// Promises are what a live store of an accepted volume keeps. Freshness is
	// none of them: it takes tags in memory, which only live stores have.
	Promises []Promise `json:"promises"`
	// Superblock is nil when the input does not reach it, the volume has no
	// integrity or it was not asked for.
	Superblock *SuperblockReport `json:"superblock,omitempty"`
}

// SuperblockReport is the integrity superblock and what is wrong with it for a
// device of this size.
type SuperblockReport struct {
	Found                  bool                  `json:"found"` // its magic is there
	Version                uint8                 `json:"version"`
	Log2InterleaveSectors  uint8                 `json:"log2_interleave_sectors"`
	TagSize                uint16                `json:"tag_size"`
	JournalSections        uint32                `json:"journal_sections"`
	ProvidedSectors        uint64                `json:"provided_sectors"`
	Flags                  uint32                `json:"flags"`
	Log2SectorsPerBlock    uint8                 `json:"log2_sectors_per_block"`
	Log2BlocksPerBitmapBit uint8                 `json:"log2_blocks_per_bitmap_bit"`
	RecalculateSector      uint64                `json:"recalculate_sector"`
	Accepted               bool                  `json:"accepted"`
	Violations             []integrity.Violation `json:"violations"`
}

// Accepted reports whether Open would accept header and superblock, given the
// right key.
func (i *Inspection) Accepted() bool {
	return i.Header.Accepted && (i.Superblock == nil || i.Superblock.Accepted)
}

// Inspect takes a path, or a device as "MAJ:MIN". It judges the header, and the
// integrity superblock where the input reaches it, of a device or of a file that
// holds the beginning of one. It only reads, and never hands anything to the
// kernel's device-mapper. The error is about reading; a verdict, also a bad one,
// is an Inspection.
func Inspect(path string, opts InspectOptions) (*Inspection, error) {
	i, err := inspect(path, opts)
	return i, failure("inspect", path, "", err)
}

func inspect(path string, opts InspectOptions) (*Inspection, error) {
	f, err := openInput(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := inputSize(f)
	if err != nil {
		return nil, err
	}
	metadata, err := readUpTo(f, 0, min(size, metadataSize))
	if err != nil {
		return nil, err
	}
	found := &Inspection{Name: path, Bytes: size, Header: cryptsetup.Inspect(metadata, opts.Profile)}
	found.promise()
	reached := size >= cryptsetup.DataOffset+integrity.SuperblockSize
	if opts.HeaderOnly || !reached || opts.Profile.Integrity == cryptsetup.RequireNone {
		return found, nil
	}
	block, err := readUpTo(f, cryptsetup.DataOffset, integrity.SuperblockSize)
	if err != nil {
		return nil, err
	}
	report, err := judgeSuperblock(block, size/sectorSize)
	if found.hasIntegrity(opts.Profile, report) {
		found.Superblock = report
	}
	return found, err
}

func (i *Inspection) promise() {
	i.Promises = []Promise{}
	if !i.Header.Accepted {
		return
	}
	i.Promises = append(i.Promises, Confidentiality)
	if i.Header.Integrity != NoIntegrity.String() {
		i.Promises = append(i.Promises, IntegrityOfBlocks)
	}
	if i.Header.Integrity == cryptsetup.AEAD.String() {
		i.Promises = append(i.Promises, HiddenRewrites)
	}
}

// openInput opens a file by its path, or a device by its path or number.
func openInput(name string) (*os.File, error) {
	if _, err := dm.ParseDevice(name); err == nil {
		dev, err := blockdev.Open(name, blockdev.Options{ReadOnly: true})
		if err != nil {
			return nil, explainOpen(name, err)
		}
		return dev.File(), nil
	}
	// O_NONBLOCK: the name may be of a FIFO, which would wait for a writer.
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	return f, argument(name, err)
}

// hasIntegrity follows an accepted header, else what the caller expects, else what
// is there.
func (i *Inspection) hasIntegrity(p cryptsetup.Profile, s *SuperblockReport) bool {
	if i.Header.Accepted {
		return i.Header.Integrity != NoIntegrity.String()
	}
	return p.Integrity != cryptsetup.AnyIntegrity || s != nil && s.Found
}

func inputSize(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	isBlock := info.Mode()&os.ModeDevice != 0 && info.Mode()&os.ModeCharDevice == 0
	if !info.Mode().IsRegular() && !isBlock {
		return 0, refuse(ErrInvalid, "", "neither a block device nor a regular file")
	}
	end, err := f.Seek(0, io.SeekEnd)
	return uint64(max(end, 0)), err
}

func readUpTo(f *os.File, offset int64, length uint64) ([]byte, error) {
	b := make([]byte, length)
	n, err := f.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %d bytes at %d: %w", length, offset, err)
	}
	return b[:n], nil
}

func judgeSuperblock(block []byte, deviceSectors uint64) (*SuperblockReport, error) {
	s, err := integrity.ParseSuperblock(block)
	if err != nil {
		return nil, err
	}
	report := &SuperblockReport{
		Found: s.HasMagic(), Version: s.Version, Log2InterleaveSectors: s.Log2InterleaveSectors, TagSize: s.TagSize,
		JournalSections: s.JournalSections, ProvidedSectors: s.ProvidedSectors, Flags: s.Flags,
		Log2SectorsPerBlock: s.Log2SectorsPerBlock, Log2BlocksPerBitmapBit: s.Log2BlocksPerBitmapBit,
		RecalculateSector: s.RecalculateSector, Violations: []integrity.Violation{},
	}
	_, err = s.Layout(deviceSectors, dataSector)
	var rejected *integrity.RejectedError
	switch {
	case err == nil:
		report.Accepted = true
	case errors.As(err, &rejected):
		report.Violations = rejected.Violations
	case errors.Is(err, integrity.ErrTooSmall):
		report.Violations = []integrity.Violation{{Rule: integrity.RuleProvided, Detail: err.Error()}}
	default:
		return nil, err
	}
	return report, nil
}

// metadataSize is how much cryptsetup.Read looks at.
const metadataSize = 3112960
