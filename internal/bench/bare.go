package main

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/keyring"
)

// bare is what the kernel itself needs for a store: the ioctls in this process,
// and a ready-made filesystem. Nothing is checked, compared or made ready for a
// failure, and no header is written. It is the floor under any program. Its layers
// can be varied.
type bare struct {
	title     string
	integrity *dm.Integrity // nil: encryption alone
	crypt     dm.Crypt
	sectors   uint64 // of the mapping
	seed      uint64 // bytes of the filesystem at first
	image     *image
	begun     []string // mappings, in the order in which they were made
}

// floor is the bare form of an ephemeral store.
func floor(seed uint64) *bare {
	return &bare{title: floorSide, seed: seed, integrity: &dm.Integrity{}, crypt: crypt(dm.AuthencHMACSHA256XTSPlain64)}
}

// plain has no integrity layer.
func plain(seed uint64) *bare {
	return &bare{title: plainSide, seed: seed, crypt: crypt(dm.XTSPlain64)}
}

// crypt has the queue for writes when a store of full size has it.
func crypt(c dm.Cipher) dm.Crypt {
	return dm.Crypt{Cipher: c, Speed: dm.CryptSpeed{NoWriteWorkqueue: runtime.NumCPU() == 1}}
}

func (b *bare) name() string       { return b.title }
func (b *bare) device(disk) string { return dm.Path(mapping) }

// prepare lays the volume out and makes the filesystem ready.
func (b *bare) prepare(d disk) error {
	b.crypt.KeyDescription, b.crypt.SectorSize = "bench:"+uuid.NewString(), blockSize
	b.crypt.KeySize, b.crypt.Offset, b.crypt.Device = 64, dataOffset/sectorSize, d.number
	b.sectors = (d.bytes - dataOffset) / sectorSize
	if b.integrity != nil {
		if err := b.layOut(d); err != nil {
			return err
		}
	}
	if b.image != nil {
		if err := b.image.free(); err != nil {
			return err
		}
	}
	var err error
	b.image, err = record(b.seed, b.sectors*sectorSize)
	return err
}

// layOut fills in what was not varied, as a store has it.
func (b *bare) layOut(d disk) error {
	b.crypt.KeySize, b.crypt.Offset, b.crypt.IntegrityTagSize = 96, 0, integrity.TagSize
	t := b.integrity
	t.Device, t.Offset, t.TagSize, t.BlockSize, t.FixPadding = d.number, dataOffset/sectorSize, integrity.TagSize, blockSize, true
	if t.Mode == 0 {
		t.Mode, t.JournalSectors = 'D', integrity.JournalSection
	}
	if t.InterleaveSectors != 0 {
		return b.probe(d)
	}
	journal := integrity.DefaultJournal
	if t.JournalSectors == integrity.JournalSection {
		journal = integrity.MinimalJournal
	}
	l, err := integrity.Plan(d.bytes/sectorSize, t.Offset, journal)
	b.sectors = l.ProvidedSectors
	return err
}

// probe lets the kernel format the layer and asks it for the size, which depends
// on the interleave.
func (b *bare) probe(d disk) (err error) {
	const name = mapping + "_probe"
	return b.control(func(c *dm.Control) error {
		if err := errors.Join(zeroSuperblock(d), load(c, name, dm.Table{{Length: 8, Target: *b.integrity}})); err != nil {
			return err
		}
		status, err := c.IntegrityStatus(name)
		b.sectors = status.ProvidedSectors
		return errors.Join(err, remove(c, name))
	})
}

func (b *bare) control(use func(*dm.Control) error) error {
	c, err := dm.Open()
	if err != nil {
		return err
	}
	return errors.Join(use(c), c.Close())
}

func (b *bare) make(_ context.Context, d disk, dir string) error {
	b.begun = nil
	err := b.control(func(c *dm.Control) error {
		if b.integrity != nil {
			if err := b.loadIntegrity(c, d); err != nil {
				return err
			}
		}
		b.begun = append(b.begun, mapping)
		key := make([]byte, b.crypt.KeySize)
		if _, err := rand.Read(key); err != nil {
			return err
		}
		return keyring.WithLogonKey(b.crypt.KeyDescription, key, func() error {
			return load(c, mapping, dm.Table{{Length: b.sectors, Target: b.crypt}})
		})
	})
	if err != nil {
		return err
	}
	return b.image.putAndMount(dm.Path(mapping), dir)
}

func (b *bare) loadIntegrity(c *dm.Control, d disk) error {
	const name = mapping + "_dif"
	if err := zeroSuperblock(d); err != nil {
		return err
	}
	b.begun = append(b.begun, name)
	if err := load(c, name, dm.Table{{Length: b.sectors, Target: *b.integrity}}); err != nil {
		return err
	}
	info, err := c.Info(name)
	b.crypt.Device = info.Device
	return err
}

func (b *bare) remove(_ context.Context, dir string) error {
	return errors.Join(unmount(dir), b.control(func(c *dm.Control) error {
		var errs []error
		for i := len(b.begun) - 1; i >= 0; i-- {
			errs = append(errs, remove(c, b.begun[i]))
		}
		return errors.Join(errs...)
	}))
}

// load makes a live mapping.
func load(c *dm.Control, name string, t dm.Table) error {
	if _, err := c.Create(name, ""); err != nil {
		return err
	}
	if err := c.Load(name, t, dm.LoadOptions{SecureData: true}); err != nil {
		return err
	}
	return c.Resume(name)
}

func remove(c *dm.Control, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.Remove(ctx, name)
}

// zeroSuperblock makes the kernel format the integrity layer at the next load.
func zeroSuperblock(d disk) error {
	f, err := os.OpenFile(d.path, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	zeros := aligned(blockSize)
	_, err = f.WriteAt(zeros, dataOffset)
	return errors.Join(err, f.Close(), unix.Munmap(zeros))
}
