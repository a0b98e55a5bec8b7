package storage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// longKey gets the cheap key derivation: it is long, and no text.
const longKey = "a key of thirty-two bytes or more\xff"

const superblockOffset = cryptsetup.DataOffset

// keyFile returns the path of a file with a key, for other tools.
func keyFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// persistent makes a persistent store whose only file, "f", holds contents, and
// closes it.
func persistent(t *testing.T, disk, key, contents string, opts storage.CreateOptions) uuid.UUID {
	t.Helper()
	opts.Key = newKey(t, key)
	s := create(t, disk, opts)
	writeFile(t, filepath.Join(s.MountPoint(), "f"), contents)
	require.NoError(t, s.Close())
	return s.UUID()
}

// open opens a volume, mounted at a new directory, and closes it when the test
// ends.
func open(t *testing.T, disk, key string, opts storage.OpenOptions) *storage.Store {
	t.Helper()
	s, err := tryOpen(t, disk, key, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func tryOpen(t *testing.T, disk, key string, opts storage.OpenOptions) (*storage.Store, error) {
	t.Helper()
	if opts.MountPoint == "" {
		opts.MountPoint = filepath.Join(t.TempDir(), "store")
	}
	return storage.Open(t.Context(), disk, newKey(t, key), opts)
}

// volume is a persistent volume with what Create does not let one choose.
type volume struct {
	id      uuid.UUID
	key     string
	journal integrity.Journal
	kdf     cryptsetup.KDF
}

// make puts the volume on the disk, its file "f" holding contents.
func (v volume) make(t *testing.T, disk, contents string) {
	t.Helper()
	dev, err := os.OpenFile(disk, os.O_RDWR, 0)
	require.NoError(t, err)
	defer dev.Close()
	key, err := cryptsetup.NewVolumeKey(cryptsetup.HMACSHA256)
	require.NoError(t, err)
	defer key.Wipe()
	header, err := cryptsetup.New(key, cryptsetup.Options{UUID: v.id})
	require.NoError(t, err)
	_, err = header.AddKeyslot([]byte(v.key), key, v.kdf)
	require.NoError(t, err)
	require.NoError(t, header.Write(dev))
	require.NoError(t, dev.Sync())

	layout, err := integrity.Plan(uint64(deviceSize(t, dev))/512, superblockOffset/512, v.journal)
	require.NoError(t, err)
	name := "make_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	require.NoError(t, integrity.Format(t.Context(), integrity.Mapping{Name: name + "_dif", UUID: header.UUID(), Device: dev, Layout: layout}))
	v.fill(t, name, header.UUID(), layout.ProvidedSectors, key, contents)
	require.NoError(t, integrity.Deactivate(t.Context(), name+"_dif"))
}

func (v volume) fill(t *testing.T, name string, id uuid.UUID, sectors uint64, key *cryptsetup.VolumeKey, contents string) {
	t.Helper()
	below, err := os.OpenFile("/dev/mapper/"+name+"_dif", os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, cryptsetup.Activate(t.Context(), cryptsetup.Mapping{Name: name, UUID: id, Device: below, Sectors: sectors}, key))
	require.NoError(t, below.Close())
	top, err := os.OpenFile("/dev/mapper/"+name, os.O_RDWR|unix.O_DIRECT, 0)
	require.NoError(t, err)
	_, err = mkfs.Format(t.Context(), top, sectors*512, mkfs.Options{})
	require.NoError(t, err)
	require.NoError(t, top.Close())
	mounted(t, "/dev/mapper/"+name, func(dir string) { writeFile(t, filepath.Join(dir, "f"), contents) })
	require.NoError(t, cryptsetup.Deactivate(t.Context(), name))
}

// mounted runs use with a mapping mounted.
func mounted(t *testing.T, device string, use func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, unix.Mount(device, dir, "ext4", 0, ""))
	defer func() { require.NoError(t, unix.Unmount(dir, 0)) }()
	use(dir)
}

func deviceSize(t *testing.T, f *os.File) int64 {
	t.Helper()
	size, err := f.Seek(0, 2)
	require.NoError(t, err)
	return size
}

// digest returns the SHA-256 of a whole device, read past the page cache.
func digest(t *testing.T, device string) string {
	t.Helper()
	f, err := os.Open(device)
	require.NoError(t, err)
	size := deviceSize(t, f)
	require.NoError(t, f.Close())
	sum := sha256.New()
	for at := int64(0); at < size; at += 4 * mib {
		sum.Write(storagetest.ReadBytes(t, device, at, int(min(4*mib, size-at))))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// editHeader changes the JSON area of both copies and makes their checksums
// right again, as a host can.
func editHeader(t *testing.T, device string, edit func(json string) string) {
	t.Helper()
	const copySize, binarySize, sumAt = 16384, 4096, 448
	for _, at := range []int64{0, copySize} {
		b := storagetest.ReadBytes(t, device, at, copySize)
		before := string(bytes.TrimRight(b[binarySize:], "\x00"))
		after := edit(before)
		require.NotEqual(t, before, after, "the edit found nothing to change")
		clear(b[binarySize:])
		copy(b[binarySize:], after)
		clear(b[sumAt : sumAt+64])
		sum := sha256.Sum256(b)
		copy(b[sumAt:], sum[:])
		storagetest.WriteBytes(t, device, at, b)
	}
}

func replaceAll(old, with string) func(string) string {
	return func(json string) string { return strings.ReplaceAll(json, old, with) }
}

// newDiskWithKey returns a small disk with a persistent volume.
func newDiskWithKey(t *testing.T, key string) string {
	t.Helper()
	disk := storagetest.Disk(t, smallVolume)
	persistent(t, disk, key, "", storage.CreateOptions{})
	return disk
}
