package main

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/storage"
)

// tagFlags are those of create that say where tags are.
type tagFlags struct {
	place    string
	limit    sizeFlag
	shrink   bool
	noHeader bool
}

func (f *tagFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.place, "tags", "device", "`PLACE` of the blocks' tags: device, or memory (of this guest)")
	flags.Var(&f.limit, "tag-memory", "with --tags memory: tags take at most SIZE (default half of what is available)")
	flags.BoolVar(&f.shrink, "shrink", false, "with --tags memory: use only as much of the device as that covers, instead of failing")
	flags.BoolVar(&f.noHeader, "no-header", false, "with --tags memory: write no LUKS2 header; the device looks like random bytes")
	complete(c, "tags", "device", "memory")
}

// apply sets the options that the flags stand for.
func (f *tagFlags) apply(o *storage.CreateOptions) error {
	switch {
	case f.place != "memory" && f.place != "device":
		return fmt.Errorf("--tags %q: want device or memory", f.place)
	case f.place == "device" && (f.limit != 0 || f.shrink || f.noHeader):
		return errors.New("--tag-memory, --shrink and --no-header go with --tags memory")
	case f.place == "device":
		return nil
	}
	o.Tags = storage.TagOptions{Place: storage.TagsInMemory, MemoryLimit: uint64(f.limit)}
	if f.shrink {
		o.Tags.Short = storage.ShrinkStore
	}
	if f.noHeader {
		o.Header = storage.HeaderOmitted
	}
	return nil
}

// showTagBudget says what tags in memory can cost, before anything is done.
func (a *app) showTagBudget(device string, o storage.CreateOptions) error {
	if o.Tags.Place != storage.TagsInMemory || a.quiet || a.json {
		return nil
	}
	b, err := storage.PlanTags(device, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.err, "tags of %s take up to %s of memory; they may take %s, %s are available\n",
		humanize.IBytes(b.Device), humanize.IBytes(b.Needed), humanize.IBytes(b.Limit), humanize.IBytes(b.Available))
	return nil
}
