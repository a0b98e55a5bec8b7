package storage_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestCipherNames(t *testing.T) {
	for _, c := range []storage.Cipher{storage.AESXTS, storage.AEGIS128} {
		got, err := storage.ParseCipher(c.String())
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	for _, name := range []string{"", "aegis256", "AEGIS128", "aegis128-random", "capi:aegis128-random", "cipher_null-ecb"} {
		_, err := storage.ParseCipher(name)
		require.ErrorContains(t, err, "expected aes-xts-plain64 or aegis128", name)
	}
}

// What is no volume is refused before anybody looks at the device.
func TestCipherAndIntegrityThatCannotBe(t *testing.T) {
	for k, message := range map[kind]string{
		{storage.AEGIS128, storage.NoIntegrity}: "the cipher aegis128 cannot be without integrity",
		{storage.AESXTS, cryptsetup.AEAD}:       "integrity aead is that of another cipher",
		{7, storage.HMACSHA256}:                 "Cipher(7) is not known",
	} {
		_, err := storage.Create(t.Context(), "/nothing", k.create())
		require.ErrorIs(t, err, storage.ErrInvalid)
		require.ErrorContains(t, err, message)
		_, err = storage.Open(t.Context(), "/nothing", newKey(t, longKey), k.open())
		require.ErrorIs(t, err, storage.ErrInvalid)
		require.ErrorContains(t, err, message)
	}
}

// anotherKey is no passphrase, whose uses take their time.
const anotherKey = "\x00" + longKey

func TestAEGIS128Store(t *testing.T) {
	kernel(t)
	for name, opts := range map[string]storage.CreateOptions{
		"ephemeral": {}, "tags in memory": {Tags: inMemory}, "no header": {Tags: inMemory, Header: storage.HeaderOmitted}, "key": {Key: newKey(t, anotherKey)},
	} {
		t.Run(name, func(t *testing.T) {
			log := storagetest.KernelLog(t)
			opts.Cipher = storage.AEGIS128
			s := create(t, storagetest.Disk(t, 300*mib), opts)
			require.NoError(t, s.Grown(t.Context()))
			writeFile(t, filepath.Join(s.MountPoint(), "layers/0/etc/hostname"), "guest")
			status, err := s.Status(t.Context())
			require.NoError(t, err)
			require.Empty(t, status.Problems)
			require.Equal(t, "aegis128-random", status.Cipher)
			require.Equal(t, "aead", status.Integrity)
			require.Equal(t, 128, status.KeyBits)
			want := []storage.Promise{storage.Confidentiality, storage.IntegrityOfBlocks}
			if opts.Tags == inMemory {
				want = append(want, storage.Freshness)
			}
			require.Equal(t, append(want, storage.HiddenRewrites), status.Promises)
			target, ok := tableWithoutDevice(t, s.Name())[0].Target.(dm.Crypt)
			require.True(t, ok)
			target.KeyDescription, target.Speed = "", dm.CryptSpeed{}
			require.Equal(t, dm.Crypt{Cipher: dm.AEGIS128Random, KeySize: 16, SectorSize: 4096, IntegrityTagSize: 32}, target)
			verify(t, s, storage.VerifyOptions{})
			requireClean(t, s)
			requireNoErrors(t, log)
		})
	}
}

// The profiles are apart: a volume of one is not opened as one of the other, the error
// says how, and nothing is written.
func TestOpenWithAnotherCipher(t *testing.T) {
	kernel(t)
	for _, k := range kinds {
		disk := storagetest.Disk(t, smallVolume)
		persistent(t, disk, anotherKey, "contents", k.create())
		before := digest(t, disk)
		for _, other := range kinds {
			if other.cipher == k.cipher {
				continue
			}
			_, err := tryOpen(t, disk, anotherKey, other.open())
			require.ErrorIs(t, err, storage.ErrHeaderRejected)
			var rejected *cryptsetup.RejectedError
			require.ErrorAs(t, err, &rejected)
			require.True(t, rejected.Has(cryptsetup.RuleCipher))
			require.Len(t, rejected.Violations, 1)
			var e *storage.Error
			require.ErrorAs(t, err, &e)
			require.Contains(t, e.Hint, "OpenOptions.Cipher "+k.cipher.String())
		}
		require.Equal(t, before, digest(t, disk))
		found, err := storage.Inspect(disk, storage.InspectOptions{Profile: k.profile()})
		require.NoError(t, err)
		require.True(t, found.Accepted())
		require.Equal(t, k == aegisKind, len(found.Promises) == 3)
		s := open(t, disk, anotherKey, k.open())
		require.Equal(t, "contents", readFile(t, filepath.Join(s.MountPoint(), "f")))
		require.NoError(t, s.Close())
	}
}

func TestAEGIS128KeysAndLargerDevice(t *testing.T) {
	kernel(t)
	disk, resize := enlargeable(t, smallVolume)
	persistent(t, disk, anotherKey, "contents", aegisKind.create())
	first, second := newKey(t, anotherKey), newKey(t, anotherKey+"2")
	added, err := storage.AddKey(t.Context(), disk, first, second, storage.KeyOptions{})
	require.NoError(t, err)
	require.Equal(t, 1, added.Slot)
	_, err = storage.RemoveKey(t.Context(), disk, 0, second, storage.KeyOptions{})
	require.NoError(t, err)
	_, err = tryOpen(t, disk, anotherKey, aegisKind.open())
	require.ErrorIs(t, err, storage.ErrWrongKey)
	resize(200 * mib)
	s := open(t, disk, anotherKey+"2", aegisKind.open())
	require.NoError(t, s.Grown(t.Context()))
	require.True(t, growthOf(t, s).Full())
	require.Equal(t, "contents", readFile(t, filepath.Join(s.MountPoint(), "f")))
}

// A block that is written again with what it had looks different with AEGIS128 alone.
func TestHiddenRewrites(t *testing.T) {
	kernel(t)
	for _, k := range kinds {
		disk := storagetest.Disk(t, 64*mib)
		opts := k.create()
		opts.MountPoint = storage.NoMount
		s := create(t, disk, opts)
		at := int64(16*mib + 8*4096)
		if k != plainKind {
			layout, err := integrity.Plan(64*mib/512, 32768, integrity.MinimalJournal)
			require.NoError(t, err)
			at = int64(layout.DataSector(8*8)) * 512
		}
		seen := map[string]bool{}
		for _, c := range []byte("abab") {
			storagetest.WriteBlock(t, s.Path(), 8, bytes.Repeat([]byte{c}, 4096))
			seen[string(storagetest.ReadBytes(t, disk, at, 4096))] = true
		}
		want := 2
		if k == aegisKind {
			want = 4
		}
		require.Len(t, seen, want, k.String())
		require.NoError(t, s.Close())
	}
}

// aegisBlocks is how many blocks are changed in each way.
const aegisBlocks = 1000

// What a host changes of blocks that were written, or of their nonces and tags, is
// detected every time: it changes all of them, and then each is read.
func TestAEGIS128DetectsEveryChange(t *testing.T) {
	kernel(t)
	const size, blocks = 64 * mib, 4 * aegisBlocks
	disk := storagetest.Disk(t, size)
	s := create(t, disk, storage.CreateOptions{Cipher: storage.AEGIS128, MountPoint: storage.NoMount})
	layout, err := integrity.Plan(size/512, 32768, integrity.MinimalJournal)
	require.NoError(t, err)
	dataAt, tagAt := int64(layout.DataSector(0))*512, int64(layout.TagPosition(0))
	require.Equal(t, dataAt+(blocks-1)*4096, int64(layout.DataSector((blocks-1)*8))*512, "the premise: in one run")
	writeBlocks(t, s.Path(), blocks)
	storagetest.DropBuffers(t)
	data, tags := storagetest.ReadBytes(t, disk, dataAt, blocks*4096), storagetest.ReadBytes(t, disk, tagAt, blocks*32)
	for b := range aegisBlocks {
		data[b*4096+b*37%4096] ^= 1 << (b % 8)
		tags[(aegisBlocks+b)*32+b%32] ^= 1 << (b / 32 % 8)
	}
	for b := 2 * aegisBlocks; b < 3*aegisBlocks; b += 2 { // moved, with nonce and tag
		swap(data[b*4096:(b+1)*4096], data[(b+1)*4096:(b+2)*4096])
		swap(tags[b*32:(b+1)*32], tags[(b+1)*32:(b+2)*32])
	}
	storagetest.WriteBytes(t, disk, dataAt, data)
	storagetest.WriteBytes(t, disk, tagAt, tags)
	failed := readBlocks(t, s.Path(), blocks)
	require.Len(t, failed, 3*aegisBlocks)
	for b := range 3 * aegisBlocks {
		require.True(t, failed[b], "block %d was changed", b)
	}
}

func swap(a, b []byte) {
	kept := bytes.Clone(a)
	copy(a, b)
	copy(b, kept)
}

// With the tags in memory an old block is detected, too, every time.
func TestAEGIS128DetectsEveryReplay(t *testing.T) {
	kernel(t)
	const size = 64 * mib
	disk := storagetest.Disk(t, size)
	s := create(t, disk, storage.CreateOptions{Cipher: storage.AEGIS128, Tags: inMemory, MountPoint: storage.NoMount})
	writeBlocks(t, s.Path(), 2*aegisBlocks)
	old := storagetest.ReadBytes(t, disk, 16*mib, aegisBlocks*4096)
	writeBlocks(t, s.Path(), 2*aegisBlocks) // the same contents: another nonce
	storagetest.WriteBytes(t, disk, 16*mib, old)
	failed := readBlocks(t, s.Path(), 2*aegisBlocks)
	require.Len(t, failed, aegisBlocks)
	for b := range aegisBlocks {
		require.True(t, failed[b], "block %d", b)
	}
}

// writeBlocks writes the first blocks of a mapping, each with its number.
func writeBlocks(t *testing.T, path string, count int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_DIRECT, 0)
	require.NoError(t, err)
	defer f.Close()
	page := alignedPage(t)
	for b := range count {
		copy(page, numberedBlock(uint64(b)))
		_, err := f.WriteAt(page, int64(b)*4096)
		require.NoError(t, err)
	}
	require.NoError(t, f.Sync())
}

// readBlocks returns those that cannot be read. No other has anything but its number.
func readBlocks(t *testing.T, path string, count int) map[int]bool {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	require.NoError(t, err)
	defer f.Close()
	page, failed := alignedPage(t), map[int]bool{}
	for b := range count {
		_, err := f.ReadAt(page, int64(b)*4096)
		if err != nil {
			require.ErrorIs(t, err, unix.EILSEQ)
			failed[b] = true
			continue
		}
		require.Equal(t, numberedBlock(uint64(b)), page)
	}
	return failed
}
