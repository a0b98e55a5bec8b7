package blockdev

import "io"

// Found is a known signature on a device.
type Found struct {
	Name   string // "ext4", "LUKS2", "GPT", …
	Detail string // what more is known, as "second copy only"; may be empty
}

// String returns the name, and the detail in brackets.
func (f Found) String() string {
	if f.Detail == "" {
		return f.Name
	}
	return f.Name + " (" + f.Detail + ")"
}

// Signature returns the first known signature on a device of size bytes, or the
// zero Found when there is none. It reads at most a MiB, some at the start, some at
// the end. An error is one of reading r.
func Signature(r io.ReaderAt, size uint64) (Found, error) {
	all, err := probe(r, size, 1)
	if len(all) == 0 {
		return Found{}, err
	}
	return all[0], err
}

// Signatures returns every known signature, those of whole-device containers
// first. More than one is common: left-overs, or tools that keep them on purpose.
func Signatures(r io.ReaderAt, size uint64) ([]Found, error) {
	return probe(r, size, len(probes()))
}

// prober looks for one format.
type prober func(*image) (Found, bool)

func probe(r io.ReaderAt, size uint64, limit int) ([]Found, error) {
	i := newImage(r, size)
	var all []Found
	for _, p := range probes() {
		if found, ok := p(i); ok && len(all) < limit {
			all = append(all, found)
		}
		if i.err != nil || len(all) == limit {
			break
		}
	}
	return all, i.err
}

func probes() []prober {
	lists := [][]prober{containers(), raids(), filesystems(), boots()}
	var all []prober
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// magic finds a format by fixed bytes at one of several offsets. A negative
// offset counts from the end of the device.
func magic(name, bytes string, offsets ...int64) prober {
	return func(i *image) (Found, bool) {
		for _, offset := range offsets {
			if i.has(offset, bytes) {
				return Found{Name: name}, true
			}
		}
		return Found{}, false
	}
}
