package integrity

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/undo"
)

// Mapping says which device becomes which mapping.
type Mapping struct {
	// Name is the whole name of the mapping, as "x_dif"; at most 79 bytes. The
	// mapping below has the name [Below] of it.
	Name string
	// UUID is the volume's. The mapping's own is CRYPT-SUBDEV-<uuid without
	// dashes>-<name>, by which cryptsetup knows it.
	UUID uuid.UUID
	// Device is the open block device below both. It must not be open exclusively,
	// here or elsewhere, nor mounted or mapped.
	Device *os.File
	// Layout is the device's, from [Plan], [PlanSeparate] or [Read].
	Layout Layout
	// Ephemeral says that nobody will activate this layer again: Format keeps its
	// journal, too, in memory.
	Ephemeral bool
	// Tags hold everything but the data of a separate layout; else nil.
	Tags *TagMemory
	// DataStart is the sector of Device at which the data of a separate layout
	// begins; else 0.
	DataStart uint64
	Mode      Mode
	// ReadOnly makes both mappings refuse writes.
	ReadOnly bool
}

// Format makes a new integrity layer and activates it as /dev/mapper/<name>. It
// writes superblock and journal, the journal of an ephemeral layer to memory only,
// and no tags: every block is unreadable through dm-crypt until it is written. What
// was on the device is lost. What the device answers where the superblock belongs
// is not looked at.
//
// On failure no mapping is left.
func Format(ctx context.Context, m Mapping) error {
	return opError("format", m.Name, m.activate(ctx, Superblock{}, m.leaveSuperblock))
}

// Activate activates an existing integrity layer as /dev/mapper/<name>. The layout
// must be what [Read] found on the device: the kernel gets the superblock of that
// layout from memory, and the device's own is not read again. It never formats.
//
// On failure no mapping is left.
func Activate(ctx context.Context, m Mapping) error {
	if m.Layout.Separate || m.Ephemeral {
		return opError("activate", m.Name, fmt.Errorf("%w: the layer was in memory, and ended with its mapping", ErrInvalid))
	}
	return opError("activate", m.Name, m.activate(ctx, m.Layout.Superblock(), nil))
}

// Deactivate removes the mapping and the one below. While it is in use Deactivate
// tries again until ctx is done, then gives [ErrBusy]; when neither is there it
// gives [ErrNotFound].
func Deactivate(ctx context.Context, name string) error {
	err := dm.Deactivate(ctx, name)
	if err == nil || errors.Is(err, ErrNotFound) {
		if belowErr := deactivateBelow(ctx, Below(name)); !errors.Is(belowErr, ErrNotFound) {
			err = belowErr
		}
	}
	return opError("deactivate", name, err)
}

// activate makes the mapping below, with that superblock in memory, and the layer
// over it, and compares what came of both. Then it calls finish, unless nil.
func (m Mapping) activate(ctx context.Context, s Superblock, finish func() error) (err error) {
	if err := m.check(); err != nil {
		return err
	}
	metadata, err := m.metadata(s)
	if err != nil {
		return err
	}
	if m.Tags == nil {
		defer func() { err = errors.Join(err, metadata.Close()) }()
	}
	var stack undo.Stack
	defer func() { err = errors.Join(err, stack.Unwind(ctx)) }()
	for _, step := range []struct {
		name string
		make func(context.Context, *memory) error
	}{{Below(m.Name), m.activateBelow}, {m.Name, m.activateLayer}} {
		if err := step.make(ctx, metadata); err != nil {
			return err
		}
		stack.Push("remove mapping "+step.name, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, removal)
			defer cancel()
			return dm.Deactivate(ctx, step.name)
		})
	}
	if finish != nil {
		if err := finish(); err != nil {
			return err
		}
	}
	stack.Move()
	return nil
}

// removal bounds how long the clean-up after a failure waits for, say, a probe.
const removal = 10 * time.Second

func (m Mapping) activateLayer(ctx context.Context, metadata *memory) error {
	below, err := os.OpenFile(dm.Path(Below(m.Name)), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer below.Close()
	table, err := m.table(below)
	if err != nil {
		return err
	}
	return kernelDisagrees(dm.Activate(ctx, dm.Activation{
		Name: m.Name, UUID: BelowUUID(m.UUID, m.Name), Below: below, Table: table,
		Load:   func(c *dm.Control) error { return c.Load(m.Name, table, dm.LoadOptions{ReadOnly: m.ReadOnly}) },
		Verify: func(c *dm.Control) error { return m.verify(c, metadata) },
	}))
}

func kernelDisagrees(err error) error {
	if errors.Is(err, dm.ErrTableDiffers) {
		return fmt.Errorf("%w: %w", ErrKernelDisagrees, err)
	}
	return err
}
