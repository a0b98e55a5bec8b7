package mkfs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/keyring"
	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// neverWritten makes a device of size bytes of which no block was ever written: dm-crypt over dm-integrity, as a store
// has it. A block fails to be read until it was written.
func neverWritten(t *testing.T, size uint64) string {
	t.Helper()
	storagetest.Kernel(t, "crypt", "integrity")
	disk := storagetest.Disk(t, int64(size+size/64+8*mib))
	tags := mapDevice(t, "tags", disk, size, func(below dm.Device) dm.Target {
		return dm.Integrity{
			Device: below, TagSize: 32, Mode: 'D', BlockSize: mkfs.BlockSize, FixPadding: true, JournalSectors: 264,
		}
	})
	key := make([]byte, 96)
	_, err := rand.Read(key)
	require.NoError(t, err)
	const description = "mkfs:test"
	var device string
	require.NoError(t, keyring.WithLogonKey(description, key, func() error {
		device = mapDevice(t, "crypt", tags, size, func(below dm.Device) dm.Target {
			return dm.Crypt{
				Cipher: dm.AuthencHMACSHA256XTSPlain64, KeySize: len(key), KeyDescription: description,
				Device: below, SectorSize: mkfs.BlockSize, IntegrityTagSize: 32,
			}
		})
		return nil
	}))
	return device
}

// mapDevice puts a target over a whole device until the end of the test.
func mapDevice(t *testing.T, kind, path string, size uint64, target func(below dm.Device) dm.Target) string {
	t.Helper()
	below, err := os.Open(path)
	require.NoError(t, err)
	defer below.Close()
	number, err := dm.DeviceOf(below)
	require.NoError(t, err)
	control, err := dm.Open()
	require.NoError(t, err)
	name := fmt.Sprintf("mkfs-%s-%d", kind, os.Getpid())
	_, err = control.Create(name, "")
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, control.Remove(context.Background(), name))
		require.NoError(t, control.Close())
	})
	table := dm.Table{{Length: size / 512, Target: target(number)}}
	require.NoError(t, control.Load(name, table, dm.LoadOptions{}))
	require.NoError(t, control.Resume(name))
	return dm.Path(name)
}

// formatDevice formats a block device with O_DIRECT, as a store does.
func formatDevice(t *testing.T, path string, size uint64, o mkfs.Options) *mkfs.Layout {
	t.Helper()
	f, err := openDirect(path)
	require.NoError(t, err)
	l, err := mkfs.Format(context.Background(), f, size, o)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	return l
}

func TestNeverWrittenDeviceFailsUntilWritten(t *testing.T) {
	device := neverWritten(t, 2*mib)
	f, err := openDirect(device)
	require.NoError(t, err)
	defer f.Close()
	page := alignedPage(t)
	_, err = f.ReadAt(page, mib)
	require.ErrorIs(t, err, syscall.EILSEQ)
	_, err = f.WriteAt(page, mib)
	require.NoError(t, err)
	_, err = f.ReadAt(page, mib)
	require.NoError(t, err)
	_, err = f.ReadAt(page, mib+mkfs.BlockSize)
	require.Error(t, err)
}

// TestKernelNeverReadsWhatWasNotWritten fills a filesystem to the last block on such a device.
func TestKernelNeverReadsWhatWasNotWritten(t *testing.T) {
	oneCPU(t)
	for _, journal := range []bool{false, true} {
		t.Run(fmt.Sprintf("journal=%t", journal), func(t *testing.T) {
			const size = 24 * mib
			device := neverWritten(t, size)
			formatDevice(t, device, size, mkfs.Options{Journal: journal})
			dir := mount(t, device, "")
			fill(t, dir)
			removeHalf(t, dir)
			fill(t, dir)
			unmount(t, dir)
			dir = mount(t, device, "")
			unmount(t, dir)
			requireClean(t, device)
		})
	}
}

// TestPartOfABlockCannotBeWritten shows why whole blocks matter: for a part, the kernel reads the rest.
func TestPartOfABlockCannotBeWritten(t *testing.T) {
	const size = 16 * mib
	device := neverWritten(t, size)
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("part of a block"), mib)
	if err == nil {
		err = f.Sync()
	}
	require.Error(t, err)
}
