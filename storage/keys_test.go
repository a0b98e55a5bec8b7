package storage_test

import (
	"crypto/sha256"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
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

// A key is exchanged while the store is live: the old one opens nothing afterwards, and
// nothing of its slot is left. What would not come to that changes nothing.
func TestKeyIsChanged(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	old, next, other := newKey(t, longKey), newKey(t, longKey+"next"), newKey(t, longKey+"other")
	s := create(t, disk, storage.CreateOptions{Key: old})
	const place, size = 32 << 10, 385024
	area := storagetest.ReadBytes(t, disk, place, size)

	_, err := storage.AddKey(t.Context(), disk, old, other, storage.KeyOptions{})
	require.NoError(t, err)
	_, err = storage.AddKey(t.Context(), disk, other, old, storage.KeyOptions{})
	require.NoError(t, err)
	before := storagetest.ReadBytes(t, disk, 0, 4*mib)
	refused := func(key, next *storage.Key, want error, text string) {
		t.Helper()
		_, err := storage.ChangeKey(t.Context(), disk, key, next, storage.KeyOptions{})
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, text)
		require.Equal(t, before, storagetest.ReadBytes(t, disk, 0, 4*mib))
	}
	refused(old, next, storage.ErrInvalid, "opens key slot 2, too")
	refused(old, old, storage.ErrInvalid, "the new key is the old one")
	refused(next, old, storage.ErrWrongKey, "")
	_, err = storage.RemoveKey(t.Context(), disk, 2, old, storage.KeyOptions{})
	require.NoError(t, err)
	changed, err := storage.ChangeKey(t.Context(), disk, old, next, storage.KeyOptions{})
	require.NoError(t, err)
	require.Equal(t, storage.KeyChange{Slot: 0, Header: fingerprint(t, disk), Volume: s.Header().Volume, Epoch: s.Header().Epoch + 4}, changed)
	require.NoError(t, s.Close())

	require.ErrorIs(t, storage.CheckKey(t.Context(), disk, old), storage.ErrWrongKey)
	open(t, disk, longKey+"next", storage.OpenOptions{MountPoint: storage.NoMount})
	require.NoError(t, storage.CheckKey(t.Context(), disk, other))
	now := storagetest.ReadBytes(t, disk, place, size)
	for i := 0; i < size; i += 4096 {
		require.NotEqual(t, area[i:i+4096], now[i:i+4096], "block %d of the old key's slot", i/4096)
	}
	for _, cryptsetup := range storagetest.Cryptsetups() {
		tool(t, storagetest.Tool(t, cryptsetup), "luksDump", disk)
	}

	for n := 2; n < 8; n++ {
		_, err := storage.AddKey(t.Context(), disk, next, newKey(t, longKey+string(rune('0'+n))), storage.KeyOptions{})
		require.NoError(t, err)
	}
	before = storagetest.ReadBytes(t, disk, 0, 4*mib)
	refused(next, old, storage.ErrInvalid, "all 8 key slots are in use")
}

// The only key goes on demand alone, and then the volume is nobody's data.
func TestLastKeyIsRemovedOnDemand(t *testing.T) {
	kernel(t)
	disk := newDiskWithKey(t, longKey)
	only, stranger := newKey(t, longKey), newKey(t, "stranger"+longKey)
	before := storagetest.ReadBytes(t, disk, 0, 4*mib)
	_, err := storage.RemoveKey(t.Context(), disk, 0, only, storage.KeyOptions{})
	require.ErrorIs(t, err, storage.ErrInvalid)
	_, err = storage.RemoveKey(t.Context(), disk, 0, stranger, storage.KeyOptions{RemoveLast: true})
	require.ErrorIs(t, err, storage.ErrWrongKey)
	require.Equal(t, before, storagetest.ReadBytes(t, disk, 0, 4*mib))
	_, err = storage.RemoveKey(t.Context(), disk, 0, only, storage.KeyOptions{RemoveLast: true})
	require.NoError(t, err)
	require.ErrorIs(t, storage.CheckKey(t.Context(), disk, only), storage.ErrWrongKey)
	slots, err := storage.Keys(t.Context(), disk)
	require.NoError(t, err)
	require.Empty(t, slots)
	create(t, disk, storage.CreateOptions{})
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

// A header of which the power left one copy is made whole again with a key that opens
// it, and never while Open is at it.
func TestRecover(t *testing.T) {
	kernel(t)
	disk := newDiskWithKey(t, longKey)
	key, added := newKey(t, longKey), newKey(t, longKey+"added")
	whole, err := storage.Recover(t.Context(), disk, key, storage.RecoverOptions{})
	require.NoError(t, err)
	require.Equal(t, cryptsetup.NewerCopy, whole.Copy)
	require.Equal(t, fingerprint(t, disk), whole.Header)

	old := storagetest.ReadBytes(t, disk, 0, 32<<10)
	_, err = storage.AddKey(t.Context(), disk, key, added, storage.KeyOptions{})
	require.NoError(t, err)
	storagetest.WriteBytes(t, disk, 16384, old[16384:]) // cut off between the copies
	torn := digest(t, disk)
	_, err = tryOpen(t, disk, longKey, storage.OpenOptions{})
	require.ErrorIs(t, err, storage.ErrHeaderRejected)
	var failed *storage.Error
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Hint, "storage.Recover")
	for name, c := range map[string]struct {
		key  *storage.Key
		opts storage.RecoverOptions
		want error
	}{
		"wrong key":             {newKey(t, "stranger"), storage.RecoverOptions{}, storage.ErrWrongKey},
		"key of the other copy": {added, storage.RecoverOptions{Copy: cryptsetup.SecondCopy}, storage.ErrWrongKey},
		"another volume":        {key, storage.RecoverOptions{ExpectUUID: uuid.New()}, storage.ErrHeaderRejected},
	} {
		_, err := storage.Recover(t.Context(), disk, c.key, c.opts)
		require.ErrorIs(t, err, c.want, name)
		require.Equal(t, torn, digest(t, disk), name)
	}
	done, err := storage.Recover(t.Context(), disk, added, storage.RecoverOptions{})
	require.NoError(t, err)
	require.Equal(t, cryptsetup.FirstCopy, done.Copy)
	require.Len(t, done.Slots, 2)
	require.Equal(t, whole.Epoch+3, done.Epoch, "above any change that was cut off")
	open(t, disk, longKey, storage.OpenOptions{MountPoint: storage.NoMount, ExpectHeader: done.Header, ExpectEpoch: done.Epoch, ExpectVolume: whole.Volume})
}

// fingerprint is that of the header that the device holds.
func fingerprint(t *testing.T, disk string) [sha256.Size]byte {
	t.Helper()
	return sha256.Sum256(storagetest.ReadBytes(t, disk, 0, 32<<10))
}
