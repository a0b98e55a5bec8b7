package blockdev_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

func open(t *testing.T, name string, o blockdev.Options) *blockdev.Device {
	t.Helper()
	d, err := blockdev.Open(name, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() }) // some tests close it themselves
	return d
}

func TestOpen(t *testing.T) {
	storagetest.Kernel(t)
	disk := storagetest.DiskWith(t, 3<<20, storagetest.DiskOptions{SectorSize: 4096})
	d := open(t, disk, blockdev.Options{})
	require.Equal(t, uint64(3<<20), d.Size())
	require.Equal(t, 4096, d.LogicalBlockSize())
	require.False(t, d.ReadOnly())
	require.Equal(t, disk, d.Path())
	require.Equal(t, uint32(7), d.Number().Major)
	_, err := d.File().WriteAt([]byte("written"), 0)
	require.NoError(t, err)

	byNumber := open(t, d.Number().String(), blockdev.Options{ReadOnly: true})
	require.Equal(t, d.Number(), byNumber.Number())
	b := make([]byte, 7)
	_, err = byNumber.File().ReadAt(b, 0)
	require.NoError(t, err)
	require.Equal(t, "written", string(b))
	_, err = byNumber.File().WriteAt(b, 0)
	require.Error(t, err)

	link := filepath.Join(t.TempDir(), "by-id")
	require.NoError(t, os.Symlink(disk, link))
	require.Equal(t, d.Number(), open(t, link, blockdev.Options{}).Number())
}

// A device whose node is missing or leads elsewhere is still opened by number,
// and no node is left.
func TestOpenByNumberWithoutNode(t *testing.T) {
	storagetest.Kernel(t)
	disk := storagetest.Disk(t, 1<<20)
	number := open(t, disk, blockdev.Options{}).Number()
	moved := disk + "-moved"
	for name, leave := range map[string]func() error{
		"missing": func() error { return nil },
		"stale":   func() error { return unix.Mknod(disk, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 200))) },
		"file":    func() error { return os.WriteFile(disk, nil, 0o600) },
	} {
		require.NoError(t, os.Rename(disk, moved))
		require.NoError(t, leave())
		d, err := blockdev.Open(number.String(), blockdev.Options{})
		_ = os.Remove(disk) // not there in one case
		require.NoError(t, os.Rename(moved, disk))
		require.NoError(t, err, name)
		require.Equal(t, number, d.Number(), name)
		require.NoError(t, d.Close())
	}
	left, err := filepath.Glob("/dev/trusted-store-node*")
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOpenRefusesWhatIsNoBlockDevice(t *testing.T) {
	dir := t.TempDir()
	file, fifo, socket := filepath.Join(dir, "file"), filepath.Join(dir, "fifo"), filepath.Join(dir, "socket")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer listener.Close()
	for _, name := range []string{file, fifo, socket, dir, "/dev/null"} {
		_, err := blockdev.Open(name, blockdev.Options{})
		require.ErrorIs(t, err, blockdev.ErrNotBlockDevice, name)
		_, err = blockdev.Open(name, blockdev.Options{ReadOnly: true})
		require.ErrorIs(t, err, blockdev.ErrNotBlockDevice, name)
		var op *blockdev.OpError
		require.ErrorAs(t, err, &op)
		require.Equal(t, name, op.Name)
	}
	_, err = blockdev.Open(filepath.Join(dir, "absent"), blockdev.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOpenAbsentNumber(t *testing.T) {
	storagetest.Kernel(t)
	_, err := blockdev.Open("259:4711", blockdev.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReadOnlyDevice(t *testing.T) {
	storagetest.Kernel(t)
	disk := storagetest.DiskWith(t, 1<<20, storagetest.DiskOptions{ReadOnly: true})
	require.True(t, open(t, disk, blockdev.Options{ReadOnly: true}).ReadOnly())
}

func TestExclusive(t *testing.T) {
	storagetest.Kernel(t)
	disk := storagetest.Disk(t, 1<<20)
	first := open(t, disk, blockdev.Options{Exclusive: true})
	_, err := blockdev.Open(disk, blockdev.Options{Exclusive: true})
	require.ErrorIs(t, err, blockdev.ErrBusy)
	_, err = blockdev.Open(first.Number().String(), blockdev.Options{Exclusive: true})
	require.ErrorIs(t, err, blockdev.ErrBusy)
	open(t, disk, blockdev.Options{})
	require.NoError(t, first.Close())
	open(t, disk, blockdev.Options{Exclusive: true})
}

func TestDirect(t *testing.T) {
	storagetest.Kernel(t)
	d := open(t, storagetest.Disk(t, 1<<20), blockdev.Options{Direct: true})
	_, err := d.File().ReadAt(make([]byte, 100), 1)
	require.ErrorIs(t, err, unix.EINVAL)
}

func TestLock(t *testing.T) {
	storagetest.Kernel(t)
	disk := storagetest.Disk(t, 1<<20)
	first, second := open(t, disk, blockdev.Options{}), open(t, disk, blockdev.Options{})
	require.NoError(t, first.Lock())
	require.NoError(t, first.Lock())
	require.ErrorIs(t, second.Lock(), blockdev.ErrBusy)
	// a probe that ends soon is waited for
	time.AfterFunc(100*time.Millisecond, func() { _ = first.Close() })
	require.NoError(t, second.Lock())
}

func TestHolders(t *testing.T) {
	storagetest.Kernel(t, "linear")
	disk := storagetest.Disk(t, 64<<20)
	d := open(t, disk, blockdev.Options{})
	holders, err := blockdev.Holders(d.Number())
	require.NoError(t, err)
	require.Empty(t, holders)

	c, err := dm.Open()
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Create("holder", "")
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Remove(t.Context(), "holder")) }()
	require.NoError(t, c.Load("holder", dm.Table{{Length: 131072, Target: dm.Linear{Device: d.Number()}}}, dm.LoadOptions{}))
	require.NoError(t, c.Resume("holder"))
	holders, err = blockdev.Holders(d.Number())
	require.NoError(t, err)
	require.Equal(t, []blockdev.Holder{{Kind: blockdev.Mapped, Name: "holder"}}, holders)

	mapped := open(t, dm.Path("holder"), blockdev.Options{})
	mkfs(t, dm.Path("holder"))
	dir := filepath.Join(t.TempDir(), "mount point")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, unix.Mount(dm.Path("holder"), dir, "ext4", 0, ""))
	holders, err = blockdev.Holders(mapped.Number())
	require.NoError(t, err)
	require.Equal(t, []blockdev.Holder{{Kind: blockdev.Mounted, Name: dir}}, holders)
	require.Equal(t, "mount "+dir, holders[0].String())
	require.NoError(t, unix.Unmount(dir, 0))
	require.NoError(t, mapped.Close())
}

func mkfs(t *testing.T, device string) {
	t.Helper()
	out, err := command(storagetest.Tool(t, "mke2fs"), "-q", "-F", device)
	require.NoError(t, err, out)
}

func TestHoldersPartitionsAndSwap(t *testing.T) {
	storagetest.Kernel(t)
	disk := storagetest.Disk(t, 8<<20)
	d := open(t, disk, blockdev.Options{})
	addPartition(t, d)
	holders, err := blockdev.Holders(d.Number())
	require.NoError(t, err)
	require.Equal(t, []blockdev.Holder{{Kind: blockdev.Partition, Name: filepath.Base(disk) + "p1"}}, holders)
	removePartition(t, d)

	swap := storagetest.Disk(t, 8<<20)
	out, err := command(storagetest.Tool(t, "mkswap"), swap)
	require.NoError(t, err, out)
	out, err = command(storagetest.Tool(t, "swapon"), swap)
	require.NoError(t, err, out)
	holders, err = blockdev.Holders(open(t, swap, blockdev.Options{}).Number())
	out2, offErr := command(storagetest.Tool(t, "swapoff"), swap)
	require.NoError(t, offErr, out2)
	require.NoError(t, err)
	require.Equal(t, []blockdev.Holder{{Kind: blockdev.Swap, Name: swap}}, holders)
}

// Signatures are found on a device as in a file.
func TestSignatureOfADevice(t *testing.T) {
	storagetest.Kernel(t)
	disk := storagetest.Disk(t, 64<<20)
	mkfs(t, disk)
	d := open(t, disk, blockdev.Options{ReadOnly: true})
	found, err := blockdev.Signature(d.File(), d.Size())
	require.NoError(t, err)
	require.Equal(t, "ext2", found.Name)
	storagetest.WriteBlock(t, disk, 0, bytes.Repeat([]byte{0}, 4096))
	found, err = blockdev.Signature(d.File(), d.Size())
	require.NoError(t, err)
	require.Zero(t, found)
}
