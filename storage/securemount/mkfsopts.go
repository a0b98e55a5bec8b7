package securemount

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trusted-store/trusted-store/storage"
)

// ParseMkfsOptions understands the options of mke2fs that callers send. No mke2fs
// runs here: what matters to the filesystem that is written is translated, what is
// so anyway is accepted, what cannot be done is refused.
//
//	-O FEATURE,…   ^has_journal, and features that are as asked for anyway
//	-i BYTES       bytes for each inode
//	-I 128|256     size of an inode
//	-L LABEL       label
//	-b 4096        the only block size
//	-t ext4        the only type
//	-m PERCENT     no blocks are ever reserved for root
//	-E …           lazy_itable_init, lazy_journal_init, discard, nodiscard: without
//	               effect, since what must be written is written, and nothing else is
//	-q -v -F       without effect
func ParseMkfsOptions(text string) (storage.FilesystemOptions, error) {
	var o storage.FilesystemOptions
	args := strings.Fields(text)
	for len(args) > 0 {
		option := args[0]
		args = args[1:]
		if slices.Contains([]string{"-q", "-v", "-F"}, option) {
			continue
		}
		if len(option) < 2 || option[0] != '-' || mkfsOptions[option[1]] == nil {
			return o, fmt.Errorf("%s: not known here", quote(option))
		}
		value := option[2:]
		if value == "" && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		if err := mkfsOptions[option[1]](&o, value); err != nil {
			return o, fmt.Errorf("%s %s: %w", option[:2], quote(value), err)
		}
	}
	return o, nil
}

var mkfsOptions = map[byte]func(*storage.FilesystemOptions, string) error{
	'O': eachOf(feature),
	'E': eachOf(extended),
	'i': bytesPerInode,
	'I': inodeSize,
	'L': label,
	'm': reserved,
	'b': exactly("4096"),
	't': exactly("ext4"),
}

// eachOf reads values that commas separate.
func eachOf(read func(*storage.FilesystemOptions, string) error) func(*storage.FilesystemOptions, string) error {
	return func(o *storage.FilesystemOptions, list string) error {
		for _, value := range strings.Split(list, ",") {
			if err := read(o, value); err != nil {
				return err
			}
		}
		return nil
	}
}

var (
	alwaysOn  = []string{"dir_index", "dir_nlink", "ext_attr", "extent", "extents", "filetype", "flex_bg", "huge_file", "large_file", "sparse_super", "uninit_bg"}
	alwaysOff = []string{"encrypt", "metadata_csum", "metadata_csum_seed", "orphan_file", "quota", "sparse_super2", "verity"}
)

func feature(o *storage.FilesystemOptions, text string) error {
	name, off := strings.CutPrefix(text, "^")
	switch {
	case name == "has_journal":
		o.NoJournal = off
	case slices.Contains(alwaysOn, name) && off:
		return fmt.Errorf("%s is always on", name)
	case slices.Contains(alwaysOff, name) && !off:
		return fmt.Errorf("%s is never on", name)
	case !slices.Contains(alwaysOn, name) && !slices.Contains(alwaysOff, name):
		return errors.New("a feature that cannot be chosen here")
	}
	return nil
}

func extended(_ *storage.FilesystemOptions, text string) error {
	name, value, given := strings.Cut(text, "=")
	known := slices.Contains([]string{"lazy_itable_init", "lazy_journal_init", "discard", "nodiscard"}, name)
	if !known || given && value != "0" && value != "1" {
		return errors.New("expected lazy_itable_init, lazy_journal_init, discard or nodiscard")
	}
	return nil
}

func bytesPerInode(o *storage.FilesystemOptions, text string) error {
	const least, most = 1 << 10, 64 << 20
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		return fmt.Errorf("expected %d to %d", least, most)
	}
	o.BytesPerInode = n
	return nil
}

func inodeSize(o *storage.FilesystemOptions, text string) error {
	if text != "128" && text != "256" {
		return errors.New("expected 128 or 256")
	}
	o.InodeSize, _ = strconv.Atoi(text)
	return nil
}

func label(o *storage.FilesystemOptions, text string) error {
	const most = 16
	if text == "" || len(text) > most || strings.Contains(text, "\x00") {
		return fmt.Errorf("expected 1 to %d bytes", most)
	}
	o.Label = text
	return nil
}

func reserved(_ *storage.FilesystemOptions, text string) error {
	if percent, err := strconv.ParseFloat(text, 64); err != nil || !(percent >= 0 && percent <= 50) {
		return errors.New("expected 0 to 50 per cent")
	}
	return nil
}

func exactly(want string) func(*storage.FilesystemOptions, string) error {
	return func(_ *storage.FilesystemOptions, text string) error {
		if text != want {
			return fmt.Errorf("expected %s", want)
		}
		return nil
	}
}
