package cryptsetup_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// readError reads one block of a mapping past the page cache.
func readError(t testing.TB, name string, block int64) error {
	t.Helper()
	f, err := os.OpenFile(dm.Path(name), os.O_RDONLY|unix.O_DIRECT, 0)
	require.NoError(t, err)
	defer f.Close()
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(b)) }()
	_, err = f.ReadAt(b, block*4096)
	return err
}

// What the host changes on the disk is never returned as data.
func TestTamperingIsDetected(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	layout, err := integrity.Plan(diskSize/512, rawOffset, integrity.MinimalJournal)
	require.NoError(t, err)
	data := func(block int64) int64 { return int64(layout.DataSector(uint64(block)*8)) * 512 }
	tag := func(block int64) int64 { return int64(layout.TagPosition(uint64(block) * 8)) }
	for name, tamper := range map[string]func(t *testing.T, disk string){
		"bit of the data": func(t *testing.T, disk string) { storagetest.FlipBit(t, disk, data(3)+1000) },
		"bit of the tag":  func(t *testing.T, disk string) { storagetest.FlipBit(t, disk, tag(3)+31) },
		"block moved with its tag": func(t *testing.T, disk string) {
			storagetest.WriteBytes(t, disk, data(3), storagetest.ReadBytes(t, disk, data(4), 4096))
			storagetest.WriteBytes(t, disk, tag(3), storagetest.ReadBytes(t, disk, tag(4), 32))
		},
		"blocks exchanged with their tags": func(t *testing.T, disk string) {
			storagetest.SwapBytes(t, disk, data(3), data(4), 4096)
			storagetest.SwapBytes(t, disk, tag(3), tag(4), 32)
		},
		"zeroed": func(t *testing.T, disk string) { storagetest.WriteBytes(t, disk, data(3), make([]byte, 4096)) },
		"zeroed with its tag": func(t *testing.T, disk string) {
			storagetest.WriteBytes(t, disk, data(3), make([]byte, 4096))
			storagetest.WriteBytes(t, disk, tag(3), make([]byte, 32))
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := storagetest.Disk(t, diskSize)
			m := authenticated(t, "tamper", disk)
			require.NoError(t, cryptsetup.Activate(t.Context(), m, newKey(t, cryptsetup.HMACSHA256)))
			storagetest.WriteBlock(t, dm.Path("tamper"), 3, pattern('3'))
			storagetest.WriteBlock(t, dm.Path("tamper"), 4, pattern('4'))
			storagetest.WriteBlock(t, dm.Path("tamper"), 5, pattern('5'))
			storagetest.DropBuffers(t)
			require.NoError(t, readError(t, "tamper", 3))
			storagetest.DropBuffers(t)
			log := storagetest.KernelLog(t)
			tamper(t, disk)
			require.ErrorIs(t, readError(t, "tamper", 3), unix.EILSEQ)
			require.NotEmpty(t, log.Matching(t, "INTEGRITY AEAD ERROR"))
			require.Equal(t, pattern('5'), storagetest.ReadBlock(t, dm.Path("tamper"), 5))
		})
	}
}

// A block and its tag put back later are accepted: freshness is not promised
// with tags on the device. DropBuffers is what makes this test see it.
func TestOldBlockWithOldTagIsAccepted(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	disk := storagetest.Disk(t, diskSize)
	m := authenticated(t, "old", disk)
	require.NoError(t, cryptsetup.Activate(t.Context(), m, newKey(t, cryptsetup.HMACSHA256)))
	storagetest.WriteBlock(t, dm.Path("old"), 3, pattern('o'))
	storagetest.DropBuffers(t)
	before := storagetest.TakeSnapshot(t, disk, 0, 0)
	storagetest.WriteBlock(t, dm.Path("old"), 3, pattern('n'))
	storagetest.DropBuffers(t)
	before.Replay(t)
	require.Equal(t, pattern('o'), storagetest.ReadBlock(t, dm.Path("old"), 3))
}
