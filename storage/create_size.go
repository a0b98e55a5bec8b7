package storage

import (
	"errors"
	"sort"
	"strconv"

	"github.com/dustin/go-humanize"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/mkfs"
)

// explainPlan says what is wrong with a plan in terms of what Create was told: the
// device, and the options of the filesystem.
func (c *creation) explainPlan(err error) error {
	var option *mkfs.OptionError
	var size *mkfs.SizeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &option):
		return explainOption(option)
	case tooSmall(err) && c.opts.Tags.Place != TagsInMemory:
		has, needed := twoSizes(c.dev.Size(), c.leastDevice())
		return because(err, ErrUnsuitable, "give it a larger device", "the device is too small: it has %s, %s are needed", has, needed)
	case errors.As(err, &size) && tooSmall(err):
		has, needed := twoSizes(size.Size, size.Limit)
		return because(err, ErrUnsuitable, "", "too small: there are %s for a filesystem, %s are needed", has, needed)
	}
	return err
}

func tooSmall(err error) bool {
	return errors.Is(err, integrity.ErrTooSmall) || errors.Is(err, mkfs.ErrTooSmall)
}

// leastDevice returns the bytes of the smallest device that the same options would
// accept, in tenths of a MiB. Nothing that can be asked for takes a GiB.
func (c *creation) leastDevice() uint64 {
	const most = 10 << 10
	return tenths(sort.Search(most, func(n int) bool {
		try := creation{activation: activation{integrity: c.integrity, ephemeral: c.ephemeral}, opts: c.opts}
		try.mountPoint = c.mountPoint
		return tenths(n) > dataSector*sectorSize && !tooSmall(try.planFor(tenths(n)/sectorSize))
	}))
}

// tenths returns the bytes of so many tenths of a MiB.
func tenths(n int) uint64 { return (uint64(n)<<20 + 9) / 10 }

// explainOption names an option of the filesystem as people know it.
func explainOption(err *mkfs.OptionError) error {
	name, known := map[string]string{"InodeSize": "inode size", "BytesPerInode": "bytes per inode", "Label": "label"}[err.Field]
	if !known {
		return err
	}
	value := err.Value
	if text, ok := value.(string); ok {
		value = strconv.Quote(text)
	}
	return because(err, ErrInvalid, "", "%s %v: want %s", name, value, err.Want)
}

// twoSizes returns two sizes in words, with as many digits as tell one from the other.
func twoSizes(a, b uint64) (string, string) {
	const least, most = 3, 20
	for digits := least; digits < most && a != b; digits++ {
		x, y := humanize.IBytesN(a, digits), humanize.IBytesN(b, digits)
		m, _ := humanize.ParseBytes(x)
		n, _ := humanize.ParseBytes(y) // 1024 GiB are 1 TiB
		if m != n {
			return x, y
		}
	}
	return humanize.IBytesN(a, least), humanize.IBytesN(b, least)
}
