package blockdev_test

import (
	"os/exec"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/blockdev"
)

func command(path string, args ...string) (string, error) {
	out, err := exec.Command(path, args...).CombinedOutput()
	return string(out), err
}

// partition is struct blkpg_partition of include/uapi/linux/blkpg.h.
type partition struct {
	start, length int64
	number        int32
	_             [128]byte // two names
	_             [4]byte
}

// blkpg is struct blkpg_ioctl_arg.
type blkpg struct {
	op, flags, size int32
	data            *partition
}

func addPartition(t *testing.T, d *blockdev.Device) {
	t.Helper()
	changePartition(t, d, 1, &partition{start: 1 << 20, length: 1 << 20, number: 1})
}

func removePartition(t *testing.T, d *blockdev.Device) {
	t.Helper()
	changePartition(t, d, 2, &partition{number: 1})
}

func changePartition(t *testing.T, d *blockdev.Device, op int32, p *partition) {
	t.Helper()
	arg := blkpg{op: op, size: int32(unsafe.Sizeof(*p)), data: p}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, d.File().Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&arg)))
	require.Zero(t, errno, "%v", errno)
}
