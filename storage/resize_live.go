package storage

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/keyring"
	"github.com/trusted-store/trusted-store/mkfs"
)

// resizePlan is what a live store has, and what it can have.
type resizePlan struct {
	integrity integrity.Mapping // with the layout for the device's present size
	target    dm.Crypt          // of the live encryption layer
	have      uint64            // sectors of it
	want      uint64
}

func (p *resizePlan) done() bool { return p.have >= p.want }

// checkLive reads the layers again, now that nobody else changes them, and refuses
// those that Open did not make.
func (r *resizing) checkLive(context.Context) (err error) {
	if r.live, err = readLive(r.control, r.live.name); err != nil {
		return err
	}
	l := r.live
	if l.crypt == nil || len(l.crypt.table) != 1 {
		return notFound(r.control, "the store was closed meanwhile")
	}
	live, _ := l.crypt.table[0].Target.(dm.Crypt)
	r.plan.target, r.plan.have = l.profileCrypt(), l.crypt.table[0].Length
	r.plan.target.Speed = live.Speed
	err = (dm.Table{{Length: r.plan.have, Target: r.plan.target}}).Matches(l.crypt.table)
	if err != nil || (l.integrity != nil) != (l.data != nil) {
		return refuse(ErrInvalid, "close it, and open it with storage.Open: that takes the whole device",
			"another program opened the store")
	}
	if _, separate := l.integrity.tagMemoryOf(); separate {
		return ephemeralKeepsItsSize()
	}
	return nil
}

func ephemeralKeepsItsSize() error {
	return refuse(ErrUnsuitable, "create it anew: create takes the whole device",
		"an ephemeral store keeps its size: it has no key that could be given to the kernel once more")
}

// checkDevice plans for the size that the device has now.
func (r *resizing) checkDevice(context.Context) (err error) {
	number := r.live.disk()
	if number == (dm.Device{}) {
		return refuse(ErrInvalid, "", "the store's device is not known")
	}
	if r.dev, err = blockdev.Open(number.String(), blockdev.Options{}); err != nil {
		return err
	}
	if err := r.dev.Lock(); err != nil {
		return err
	}
	sectors := r.dev.Size() / blockSize * (blockSize / sectorSize)
	need := r.plan.have + dataSector
	if r.live.integrity != nil {
		m, had, err := r.live.integrityMapping(r.dev.File(), sectors)
		if err != nil {
			return err
		}
		r.plan.integrity, r.plan.want, need = m, m.Layout.ProvidedSectors, had
	} else {
		r.plan.want = sectors - min(sectors, dataSector)
	}
	if sectors < need {
		return refuse(ErrUnsuitable, "give it the size that it had: nothing was touched",
			"the device %v shrank: the store needs %d bytes, it has %d", number, need*sectorSize, r.dev.Size())
	}
	return nil
}

// disk is the device below all layers.
func (l *live) disk() dm.Device {
	if l.data != nil && len(l.data.table) > 0 {
		last, _ := l.data.table[len(l.data.table)-1].Target.(dm.Linear)
		return last.Device
	}
	if len(l.crypt.deps) > 0 {
		return l.crypt.deps[0]
	}
	return dm.Device{}
}

// integrityMapping is the live integrity layer with the layout that it has on a device
// of so many sectors, and how many it needs as it is.
func (l *live) integrityMapping(device *os.File, sectors uint64) (m integrity.Mapping, need uint64, err error) {
	if len(l.integrity.table) != 1 || l.data == nil {
		return m, 0, refuse(ErrInvalid, "storage.Close("+l.name+")", "the store is incomplete")
	}
	target, _ := l.integrity.table[0].Target.(dm.Integrity)
	need = l.data.table.Sectors()
	m = integrity.Mapping{Name: l.name + integritySuffix, UUID: l.integrity.volume, Device: device}
	if target.Mode != 'J' {
		return m, 0, ephemeralKeepsItsSize()
	}
	below, err := os.OpenFile(dm.Path(l.name+dataSuffix), os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return m, 0, err
	}
	defer below.Close()
	_, now, err := integrity.ReadSuperblock(below, dataSector) // of the guest's memory
	if err == nil && sectors > need {
		m.Layout, err = now.Resize(sectors)
	} else {
		m.Layout = now
	}
	return m, need, err
}

func (r *resizing) unlock(ctx context.Context) error {
	if r.plan.done() {
		return nil
	}
	header, err := cryptsetup.Read(r.dev.File(), cryptsetup.Profile{
		Integrity: cryptsetup.AnyIntegrity, ExpectUUID: r.live.crypt.volume, MaxArgon2Memory: r.opts.MaxArgon2Memory,
	})
	if err != nil {
		return explainKeyHeader(err)
	}
	if len(header.Keyslots()) == 0 {
		return ephemeralKeepsItsSize()
	}
	if r.key, _, err = unlockAuthentic(ctx, header, r.secret, cryptsetup.Authentication{}); err != nil {
		return err
	}
	if r.key.Len() != r.plan.target.KeySize {
		return refuse(ErrHeaderRejected, "the host has changed it", "the header is that of a volume with other integrity")
	}
	return nil
}

func (r *resizing) resizeIntegrity(ctx context.Context) error {
	if r.live.integrity == nil {
		return nil
	}
	return integrity.Resize(ctx, r.plan.integrity)
}

// table is that of the encryption layer with all that the device has.
func (r *resizing) table() dm.Table { return dm.Table{{Length: r.plan.want, Target: r.plan.target}} }

// withKey lends the volume key to the kernel for the time of a load.
func (r *resizing) withKey(load func() error) error {
	return keyring.WithLogonKey(r.plan.target.KeyDescription, r.key.Bytes(), load)
}

// prepare writes what the kernel will read while it grows the filesystem, in the new
// space alone, through a mapping of its own: a mounted device may not be written to by
// others on all kernels, and none of the new space may be in use before. What that
// mapping reads of the filesystem proves the key.
func (r *resizing) prepare(ctx context.Context) (err error) {
	name := r.live.name + newSuffix
	if r.live.new != nil { // of one that was cut off
		if err := r.removeNew(ctx, name); err != nil {
			return err
		}
	}
	if _, err := r.control.Create(name, integrity.BelowUUID(r.live.crypt.volume, name)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.removeNew(ctx, name)) }()
	err = r.withKey(func() error { return r.control.Load(name, r.table(), dm.LoadOptions{SecureData: true}) })
	if err == nil {
		err = r.control.Resume(name)
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(dm.Path(name), os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	return errors.Join(r.prepareOn(ctx, f), f.Close())
}

func (r *resizing) removeNew(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeGrace)
	defer cancel()
	if err := r.control.Remove(ctx, name); !errors.Is(err, dm.ErrNotFound) {
		return err
	}
	return nil
}

func (r *resizing) prepareOn(ctx context.Context, f *os.File) error {
	stored, err := mkfs.ReadGeometry(f)
	if err != nil {
		return refuse(ErrIntegrity, "the host may have changed the header", "the key of the header is not that of the live store: %w", err)
	}
	if r.live.integrity == nil {
		return nil
	}
	if !growable(stored) {
		return refuse(ErrUnsuitable, "make a filesystem without it, such as storage.Create does",
			"the filesystem has checksums of its own (metadata_csum), with which the kernel cannot grow it here")
	}
	now, err := mkfs.ReadGeometry(r.grower.node)
	if err == nil {
		err = now.PrepareGrowth(ctx, f, now.Growth(r.plan.want*sectorSize), r.plan.have*sectorSize)
	}
	if err != nil {
		return err
	}
	return f.Sync()
}

// noteSize writes the superblock before anything is in the new space that would be
// lost without it.
func (r *resizing) noteSize(context.Context) error {
	if r.live.integrity == nil {
		return nil
	}
	return integrity.WriteSuperblock(r.dev.File(), r.plan.integrity.Layout)
}

func (r *resizing) resizeCrypt(context.Context) error {
	err := r.withKey(func() error {
		return r.control.Replace(r.live.name, r.table(), dm.LoadOptions{SecureData: true})
	})
	if err != nil {
		return fmt.Errorf("give the encryption layer %d sectors: %w", r.plan.want, err)
	}
	r.log.Info("the store has the whole device", "store", r.live.name, "bytes", r.plan.want*sectorSize)
	return nil
}
