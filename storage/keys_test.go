package storage_test

import (
	"crypto/sha256"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestKeysAreAddedAndRemoved(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, 64*mib)
	dir := filepath.Join(t.TempDir(), "m")
	first, second, stranger := newKey(t, "first"), newKey(t, "second"), newKey(t, "stranger")
	s := create(t, disk, storage.CreateOptions{Key: first, MountPoint: dir})
	writeFile(t, filepath.Join(dir, "f"), "contents")

	_, err := storage.AddKey(t.Context(), disk, stranger, second, storage.KeyOptions{})
	require.ErrorIs(t, err, storage.ErrWrongKey)
	added, err := storage.AddKey(t.Context(), disk, first, second, storage.KeyOptions{})
	require.NoError(t, err, "while the store is live")
	require.Equal(t, 1, added.Slot)
	slots, err := storage.Keys(t.Context(), disk)
	require.NoError(t, err)
	require.Len(t, slots, 2)
	require.NoError(t, s.Close())

	remove := func(slot int, key *storage.Key) error {
		_, err := storage.RemoveKey(t.Context(), disk, slot, key, storage.KeyOptions{})
		return err
	}
	require.ErrorIs(t, remove(0, first), storage.ErrWrongKey, "nobody could open it afterwards")
	require.ErrorIs(t, remove(5, first), storage.ErrInvalid)
	require.NoError(t, remove(0, second))
	_, err = storage.Open(t.Context(), disk, first, storage.OpenOptions{MountPoint: dir})
	require.ErrorIs(t, err, storage.ErrWrongKey)
	s, err = storage.Open(t.Context(), disk, second, storage.OpenOptions{MountPoint: dir})
	require.NoError(t, err)
	require.Equal(t, "contents", readFile(t, filepath.Join(dir, "f")))
	require.NoError(t, s.Close())
	tool(t, "cryptsetup", "luksDump", disk)
}

// The host puts an old header back, whose key was removed since. Without a pin a change
// of keys makes a new header of it, with that key; with one it is refused, and the
// device stays as it was.
func TestChangeOfKeysRefusesAnOldHeader(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	id := persistent(t, disk, longKey, "", storage.CreateOptions{})
	leaked, kept, next := newKey(t, longKey), newKey(t, longKey+"kept"), newKey(t, longKey+"next")
	added, err := storage.AddKey(t.Context(), disk, leaked, kept, storage.KeyOptions{ExpectUUID: id})
	require.NoError(t, err)
	require.Equal(t, fingerprint(t, disk), added.Header)
	old := storagetest.TakeSnapshot(t, disk, 0, 4*mib)
	removed, err := storage.RemoveKey(t.Context(), disk, 0, kept, storage.KeyOptions{ExpectHeader: added.Header})
	require.NoError(t, err)
	require.Equal(t, 0, removed.Slot)
	require.Equal(t, fingerprint(t, disk), removed.Header)

	old.Replay(t)
	before := digest(t, disk)
	for name, pins := range map[string]storage.KeyOptions{
		"header": {ExpectHeader: removed.Header}, "both": {ExpectUUID: id, ExpectHeader: removed.Header}, "uuid": {ExpectUUID: uuid.New()},
	} {
		_, err = storage.AddKey(t.Context(), disk, kept, next, pins)
		require.ErrorIs(t, err, storage.ErrHeaderRejected, name)
		_, err = storage.RemoveKey(t.Context(), disk, 0, kept, pins)
		require.ErrorIs(t, err, storage.ErrHeaderRejected, name)
	}
	require.Equal(t, before, digest(t, disk))

	laundered, err := storage.AddKey(t.Context(), disk, kept, next, storage.KeyOptions{})
	require.NoError(t, err)
	// The premise: without a pin the key that was removed is back.
	open(t, disk, longKey, storage.OpenOptions{ExpectHeader: laundered.Header, MountPoint: storage.NoMount})
}

// The fingerprint is of what was written, whatever the device has made of it.
func TestFingerprintIsOfWhatWasWritten(t *testing.T) {
	kernel(t)
	disk := newDiskWithKey(t, longKey)
	before := fingerprint(t, disk)
	forgets := storagetest.NewFaulty(t, disk)
	forgets.Set(t, storagetest.Fault{Kind: storagetest.DropWrites})
	added, err := storage.AddKey(t.Context(), forgets.Path(), newKey(t, longKey), newKey(t, "another"), storage.KeyOptions{})
	require.NoError(t, err)
	require.Equal(t, before, fingerprint(t, disk), "the premise: nothing arrived")
	require.NotEqual(t, before, added.Header)
	forgets.Set(t)
	refused(t, forgets.Path(), disk, longKey, storage.OpenOptions{ExpectHeader: added.Header}, storage.ErrHeaderRejected)
}

// fingerprint is that of the header that the device holds.
func fingerprint(t *testing.T, disk string) [sha256.Size]byte {
	t.Helper()
	return sha256.Sum256(storagetest.ReadBytes(t, disk, 0, 32<<10))
}
