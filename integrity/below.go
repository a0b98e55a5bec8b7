package integrity

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// Between a layer's mapping and its device is another mapping, of the same size as
// the device: all of it is the device but the superblock, with an ephemeral layer
// also the journal, which are in memory of this machine. So the kernel never reads
// them from the device. In a separate layout it is the part with the data.
const (
	// BelowSuffix ends the name of that mapping.
	BelowSuffix = "_data"

	layerSuffix = "_dif"
	// subdevPrefix begins the kernel's UUIDs of both mappings; the volume's UUID
	// without dashes follows, a dash and the mapping's name. cryptsetup's close
	// takes away what is called so below the mapping that it closes.
	subdevPrefix = "CRYPT-SUBDEV-"
)

// Below returns the name of the mapping below the one of that name: "x_data" for
// "x_dif".
func Below(name string) string { return strings.TrimSuffix(name, layerSuffix) + BelowSuffix }

// BelowUUID returns the kernel's UUID of a mapping of that name that belongs to a
// volume, below its uppermost one: the one by which cryptsetup knows it.
func BelowUUID(volume uuid.UUID, name string) string {
	return subdevPrefix + strings.ReplaceAll(volume.String(), "-", "") + "-" + name
}

func (m Mapping) activateBelow(ctx context.Context, metadata *memory) error {
	table, err := m.tableBelow(metadata)
	if err != nil {
		return err
	}
	name := Below(m.Name)
	return kernelDisagrees(dm.Activate(ctx, dm.Activation{
		Name: name, UUID: BelowUUID(m.UUID, name), Below: m.Device, Table: table,
		Load: func(c *dm.Control) error { return c.Load(name, table, dm.LoadOptions{ReadOnly: m.ReadOnly}) },
	}))
}

// deactivateBelow removes a mapping that activateBelow made. Of another program's
// it says that there is none.
func deactivateBelow(ctx context.Context, name string) error {
	c, err := dm.Open()
	if err != nil {
		return err
	}
	defer c.Close()
	info, err := c.Info(name)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(info.UUID, subdevPrefix) || !strings.HasSuffix(info.UUID, "-"+name) {
		return fmt.Errorf("%w: mapping %s is another program's", ErrNotFound, name)
	}
	return c.Remove(ctx, name)
}

func (m Mapping) tableBelow(metadata *memory) (dm.Table, error) {
	device, err := dm.DeviceOf(m.Device)
	if err != nil {
		return nil, err
	}
	if m.Layout.Separate {
		return dm.Table{{Length: m.Layout.DeviceSectors, Target: dm.Linear{Device: device, Offset: m.DataStart}}}, nil
	}
	number, err := metadata.number()
	if err != nil {
		return nil, err
	}
	return m.tableOver(device, number), nil
}

// tableOver is the table of a layout that is not separate.
func (m Mapping) tableOver(device, memory dm.Device) dm.Table {
	start := m.Layout.Offset
	end := start + m.sectorsInMemory()
	var table dm.Table
	if start > 0 {
		table = append(table, dm.Line{Length: start, Target: dm.Linear{Device: device}})
	}
	return append(table,
		dm.Line{Start: start, Length: end - start, Target: dm.Linear{Device: memory}},
		dm.Line{Start: end, Length: m.Layout.DeviceSectors - end, Target: dm.Linear{Device: device, Offset: end}},
	)
}

// sectorsInMemory is how many sectors from the superblock on are in memory, of a
// layout that is not separate.
func (m Mapping) sectorsInMemory() uint64 {
	if m.Ephemeral {
		return m.Layout.InitialSectors
	}
	return superblockSectors
}
