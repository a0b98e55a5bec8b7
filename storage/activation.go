package storage

import (
	"context"
	"errors"
	"os"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// dataSector is where a volume's data, or its integrity superblock, begins.
const dataSector = cryptsetup.DataOffset / sectorSize

// activation is what Create and Open share: a device that becomes a live store.
type activation struct {
	operation
	name, mountPoint string
	mountFlags       MountFlags
	id               uuid.UUID
	integrity        Integrity

	dev       *claimed
	key       *cryptsetup.VolumeKey
	ephemeral bool                 // nobody will open it again
	layout    integrity.Layout     // with integrity
	tags      *integrity.TagMemory // of a separate layout
	dataStart uint64               // sector, of a separate layout
	sectors   uint64               // of the mapping
	state     *HeaderState         // of a persistent volume
}

func (a *activation) noteHeader(h *cryptsetup.Header) {
	state := headerState(h, a.key)
	a.state = &state
}

func (a *activation) setDefaults() {
	if a.mountPoint == "" {
		a.mountPoint = DefaultMountPoint
	}
	if a.progress == nil {
		a.progress = func(Progress) {}
	}
}

// end gives back what is needed while a store is being made, and wipes the key:
// after the load the kernel has its own copy.
func (a *activation) end() {
	a.key.Wipe()
	err := a.tags.Close()
	if a.dev != nil {
		err = errors.Join(err, a.dev.Close())
	}
	if err != nil {
		a.log.Warn("close device", "err", err)
	}
}

func (a *activation) store(mode GrowMode) *Store {
	s := &Store{name: a.name, id: a.id, header: a.state}
	if a.mountPoint != NoMount {
		s.mountPoint = a.mountPoint
	}
	var err error
	if s.disk, err = a.lendKey(); err != nil {
		a.log.Warn("each program encrypts what it writes by itself, without the other CPUs", "store", a.name, "err", err)
	}
	if mode != GrowLater && a.mountFlags&ReadOnly == 0 {
		s.startGrowing(mode == GrowAsUsed || a.tagsInMemory(), a.log)
	}
	return s
}

// tagsInMemory reports whether growing takes memory.
func (a *activation) tagsInMemory() bool {
	inMemory, err := tagsAreInMemory(a.name)
	if err != nil {
		a.log.Warn("where the tags are cannot be told; the store grows at once", "store", a.name, "err", err)
	}
	return inMemory
}

// bytes is the size of the mapping.
func (a *activation) bytes() uint64 { return a.sectors * sectorSize }

// checkArguments finds what is wrong wherever the device is, and a kernel that makes no
// mapping.
func (a *activation) checkArguments(context.Context) error {
	if a.name != "" {
		if err := checkName(a.name); err != nil {
			return err
		}
	}
	if err := checkAbsolute(a.mountPoint); err != nil {
		return err
	}
	control, err := openControl()
	if err != nil {
		return err
	}
	return errors.Join(a.checkCipher(control), control.Close())
}

// checkPlace finds who has the name or the mount point. That is told once the device is
// right: who names a wrong one is not to close the store that is there.
func (a *activation) checkPlace(context.Context) error {
	control, err := openControl()
	if err != nil {
		return err
	}
	defer control.Close()
	if a.name, err = freeName(control, a.name); err != nil {
		return err
	}
	return checkMountPoint(a.mountPoint, a.log)
}

func (a *activation) claimDevice(ctx context.Context) (err error) {
	a.dev, err = await(ctx, silentDevice, func() (*claimed, error) { return claim(a.device) },
		func(c *claimed) { _ = c.Close() }) // nothing was written
	return err
}

// activateIntegrity makes the mappings of the integrity layer, by Format or
// Activate. What a journal would be good for, an ephemeral volume does not need.
func (a *activation) activateIntegrity(ctx context.Context, activate func(context.Context, integrity.Mapping) error) error {
	if err := a.dev.release(); err != nil {
		return err
	}
	m := integrity.Mapping{
		Name: a.name + integritySuffix, UUID: a.id, Device: a.dev.File(), Layout: a.layout, Tags: a.tags, DataStart: a.dataStart,
	}
	if a.ephemeral {
		m.Ephemeral, m.Mode = true, integrity.Direct
	}
	if err := activate(ctx, m); err != nil {
		return err
	}
	a.undoMapping(m.Name, integrity.Deactivate)
	return nil
}

func (a *activation) undoMapping(name string, deactivate func(context.Context, string) error) {
	a.undo.Push("remove mapping "+name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, removeGrace)
		defer cancel()
		return deactivate(ctx, name)
	})
}

// activateCrypt makes the upper mapping, over the integrity layer or the device.
func (a *activation) activateCrypt(ctx context.Context) error {
	below, offset := a.dev.File(), uint64(dataSector)
	if a.integrity != NoIntegrity {
		f, err := os.OpenFile(dm.Path(a.name+integritySuffix), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		below, offset = f, 0
	}
	if err := a.dev.release(); err != nil {
		return err
	}
	err := cryptsetup.Activate(ctx, cryptsetup.Mapping{
		Name: a.name, UUID: a.id, Device: below, Offset: offset, Sectors: a.sectors, Integrity: a.integrity,
		NoWriteWorkqueue: a.mountPoint != NoMount || oneCPU(),
	}, a.key)
	if err != nil {
		return err
	}
	a.undoMapping(a.name, cryptsetup.Deactivate)
	if err := a.noteBeginning(); err != nil {
		a.log.Debug("beginning not noted in the kernel's log", "err", err)
	}
	return nil
}

// noteBeginning is for Status only; without it the number of integrity errors
// is unknown.
func (a *activation) noteBeginning() error {
	layers := []string{a.name}
	if a.integrity != NoIntegrity {
		layers = append(layers, a.name+integritySuffix)
	}
	for i, name := range layers {
		var st unix.Stat_t
		if err := unix.Stat(dm.Path(name), &st); err != nil {
			return &os.PathError{Op: "stat", Path: dm.Path(name), Err: err}
		}
		layers[i] = kernelName(dm.Device{Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev)})
	}
	return logBeginning(layers)
}

// openMapping opens the upper mapping past the page cache, so that whole blocks
// go straight to it and nothing of them is read first or stays in memory.
func (a *activation) openMapping() (*os.File, error) {
	return os.OpenFile(dm.Path(a.name), os.O_RDWR|unix.O_DIRECT|unix.O_EXCL, 0)
}

func (a *activation) mount(context.Context) error {
	undo, err := makeMountPoint(a.mountPoint)
	if undo != nil {
		a.undo.Push("remove "+a.mountPoint, undo)
	}
	if err != nil {
		return err
	}
	if err := mount(dm.Path(a.name), a.mountPoint, a.mountFlags); err != nil {
		return err
	}
	a.undo.Push("unmount "+a.mountPoint, func(ctx context.Context) error {
		return unmount(ctx, a.mountPoint, unmountGrace)
	})
	return nil
}
