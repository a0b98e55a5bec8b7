package storage

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// BlockSize is the unit of the encryption, the tags and the filesystem, in bytes. A
// device has a whole number of blocks.
const BlockSize = 4096

const (
	sectorSize = 512 // of device-mapper and the kernel
	blockSize  = BlockSize
)

// claimed is a device that nobody else can use. The claim keeps mounts, mappings
// and other exclusive openers away; it has to be dropped for the moment in which
// the kernel takes the device for the mapping, and whoever takes it in that
// moment makes the load fail. The lock keeps udev from probing and another
// operation of ours from starting.
type claimed struct {
	*blockdev.Device
	claim *blockdev.Device
}

func claim(name string) (*claimed, error) {
	dev, err := blockdev.Open(name, blockdev.Options{})
	if err != nil {
		return nil, explainOpen(name, err)
	}
	c := &claimed{Device: dev}
	if err := c.take(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.forgetErrors()
	return c, nil
}

// forgetErrors takes note of writes that failed before, such as those of a Create
// that was given up because of them: the kernel would report them to our first
// sync, whatever that wrote. This asks for them without a flush.
func (c *claimed) forgetErrors() {
	_ = unix.SyncFileRange(int(c.File().Fd()), 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE)
}

func (c *claimed) take() error {
	if err := c.Lock(); err != nil {
		return explainLocked(err)
	}
	var err error
	if c.claim, err = blockdev.Open(c.Number().String(), blockdev.Options{Exclusive: true}); err != nil {
		return c.explainBusy(err)
	}
	return c.usable()
}

// usable refuses devices that no volume fits on, whatever it holds.
func (c *claimed) usable() error {
	switch {
	case c.ReadOnly():
		return readOnly()
	case c.LogicalBlockSize() > blockSize:
		return refuse(ErrUnsuitable, "", "its blocks have %d bytes, %d are the most that work", c.LogicalBlockSize(), blockSize)
	case c.sectors() <= dataSector:
		return refuse(ErrUnsuitable, "", "the device is too small: it has %s, the header alone takes %s",
			humanize.IBytes(c.Size()), humanize.IBytes(cryptsetup.DataOffset))
	}
	return nil
}

func readOnly() error {
	return refuse(ErrUnsuitable, "attach it read-write", "the device is read-only")
}

// release drops the claim, so that the kernel can take the device.
func (c *claimed) release() error {
	claim := c.claim
	c.claim = nil
	if claim == nil {
		return nil
	}
	return claim.Close()
}

// Close drops the claim and the lock.
func (c *claimed) Close() error { return errors.Join(c.release(), c.Device.Close()) }

// sectors is the size in sectors of 512 bytes, of the whole blocks of 4096.
func (c *claimed) sectors() uint64 { return c.Size() / blockSize * (blockSize / sectorSize) }

// explainOpen says what a name is that is no device, and tells a read-only
// device from a missing privilege.
func explainOpen(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENODEV):
		return because(err, ErrInvalid, howToName, "no such device")
	case errors.Is(err, blockdev.ErrNotBlockDevice), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return notBlockDevice(name, err)
	case !errors.Is(err, fs.ErrPermission):
		return err
	}
	dev, roErr := blockdev.Open(name, blockdev.Options{ReadOnly: true})
	if roErr != nil {
		return err
	}
	defer dev.Close()
	if dev.ReadOnly() {
		return readOnly()
	}
	return err
}

// freeName returns name, or a random one, that no mapping has.
func freeName(control *dm.Control, name string) (string, error) {
	for {
		candidate := name
		if name == "" {
			candidate = randomName()
		}
		taken, err := nameTaken(control, candidate)
		if err != nil || taken == "" {
			return candidate, err
		}
		if name != "" {
			return "", refuse(ErrBusy, "choose another name, or storage.Close("+name+")", "a mapping named %s exists", taken)
		}
	}
}

// nameTaken returns the mapping that has the name of one of the store's, or "".
func nameTaken(control *dm.Control, name string) (string, error) {
	for _, n := range []string{name, name + integritySuffix, name + dataSuffix, name + newSuffix, name + unfinishedSuffix} {
		_, err := control.Info(n)
		switch {
		case err == nil:
			return n, nil
		case !errors.Is(err, dm.ErrNotFound):
			return "", err
		}
	}
	return "", nil
}

const (
	headersSize = 32 << 10 // both copies
	tailSize    = 1 << 20  // backups of partition tables and the like at a device's end
	zeroChunk   = 1 << 20
)

// zero writes zeros over a part of the device and brings them there.
func (c *claimed) zero(offset, length uint64) error {
	if err := c.writeZeros(offset, length); err != nil {
		return err
	}
	return c.File().Sync()
}

func (c *claimed) writeZeros(offset, length uint64) error {
	zeros := make([]byte, min(length, zeroChunk))
	for done := uint64(0); done < length; done += uint64(len(zeros)) {
		if _, err := c.File().WriteAt(zeros, int64(offset+done)); err != nil {
			return fmt.Errorf("write zeros at byte %d: %w", offset+done, err)
		}
	}
	return nil
}
