package storage_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// A new volume is authenticated: with what Create says of it one opens it and no old
// header, and no header that the host has put together. A refused device stays as it was.
func TestAuthenticatedVolume(t *testing.T) {
	kernel(t)
	for _, integrity := range []storage.Integrity{storage.HMACSHA256, storage.NoIntegrity} {
		t.Run(integrity.String(), func(t *testing.T) {
			disk := storagetest.Disk(t, smallVolume)
			key, next := newKey(t, longKey), newKey(t, longKey+"next")
			s := create(t, disk, storage.CreateOptions{Key: key, Integrity: integrity})
			state := *s.Header()
			require.EqualValues(t, 1, state.Epoch)
			live, err := s.Status(t.Context())
			require.NoError(t, err)
			require.Equal(t, &storage.HeaderStatus{VolumeFingerprint: fmt.Sprintf("%x", state.Volume), Authenticated: true, Epoch: 1}, live.Header)
			require.NoError(t, s.Close())

			old := storagetest.TakeSnapshot(t, disk, 0, 4*mib)
			changed, err := storage.ChangeKey(t.Context(), disk, key, next, storage.KeyOptions{ExpectEpoch: 1, ExpectVolume: state.Volume})
			require.NoError(t, err)
			require.EqualValues(t, 2, changed.Epoch)
			require.Equal(t, state.Volume, changed.Volume, "the pin survives")
			opened, err := tryOpen(t, disk, longKey+"next", storage.OpenOptions{Integrity: integrity, ExpectEpoch: 2, ExpectVolume: state.Volume, RequireAuthenticated: true})
			require.NoError(t, err)
			require.Equal(t, storage.HeaderState{Volume: state.Volume, Epoch: 2}, *opened.Header())
			require.NoError(t, opened.Close())

			editHeader(t, disk, replaceAll(`"epoch":"2"`, `"epoch":"3"`))
			refusedWith(t, disk, longKey+"next", storage.OpenOptions{Integrity: integrity}, "changed since it was authenticated", "AuthenticateOptions.AcceptChanged")
			old.Replay(t)
			refusedWith(t, disk, longKey, storage.OpenOptions{Integrity: integrity, ExpectEpoch: 2}, "its epoch is 1, expected 2", "an old header")
			other := newDiskWithKey(t, longKey)
			refusedWith(t, other, longKey, storage.OpenOptions{ExpectVolume: state.Volume}, "another volume", "")
		})
	}
}

// refusedWith opens, and looks at what the error and its hint say, and at the device.
func refusedWith(t *testing.T, disk, key string, opts storage.OpenOptions, text, hint string) {
	t.Helper()
	before := digest(t, disk)
	_, err := tryOpen(t, disk, key, opts)
	require.ErrorIs(t, err, storage.ErrHeaderRejected)
	require.ErrorContains(t, err, text)
	var failed *storage.Error
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Hint, hint)
	require.Equal(t, before, digest(t, disk))
	list, err := storage.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list, "nothing was mapped")
}

// cryptsetup opens an authenticated volume and keeps the token. What it changes is named
// by all that need the header, until a person takes it.
func TestCryptsetupAndAuthenticatedVolumes(t *testing.T) {
	forEachCryptsetup(t, cryptsetupAndAuthenticated)
}

func cryptsetupAndAuthenticated(t *testing.T, cryptsetup string) {
	disk, file, added := storagetest.Disk(t, interopSize), keyFile(t, longKey), keyFile(t, longKey+"theirs")
	persistent(t, disk, longKey, "ours", storage.CreateOptions{})
	before := storagetest.ReadBytes(t, disk, 0, 32<<10)
	tool(t, cryptsetup, "open", "--key-file", file, disk, "theirs")
	mounted(t, "/dev/mapper/theirs", func(dir string) { require.Equal(t, "ours", readFile(t, filepath.Join(dir, "f"))) })
	tool(t, cryptsetup, "close", "theirs")
	require.Contains(t, tool(t, cryptsetup, "luksDump", disk), "trusted-store-header")
	require.Equal(t, before, storagetest.ReadBytes(t, disk, 0, 32<<10), "opening it changes nothing")

	tool(t, cryptsetup, "luksAddKey", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", file, disk, added)
	refusedWith(t, disk, longKey, storage.OpenOptions{}, "changed since it was authenticated", "AuthenticateOptions.AcceptChanged")
	ours, theirs := newKey(t, longKey), newKey(t, longKey+"theirs")
	_, err := storage.AddKey(t.Context(), disk, ours, newKey(t, "x"), storage.KeyOptions{})
	require.ErrorIs(t, err, storage.ErrHeaderRejected)
	require.ErrorIs(t, storage.CheckKey(t.Context(), disk, ours), storage.ErrHeaderRejected)
	_, err = storage.Authenticate(t.Context(), disk, theirs, storage.AuthenticateOptions{})
	require.ErrorIs(t, err, storage.ErrHeaderRejected)

	done, err := storage.Authenticate(t.Context(), disk, theirs, storage.AuthenticateOptions{AcceptChanged: true})
	require.NoError(t, err)
	require.True(t, done.Renewed)
	require.EqualValues(t, 2, done.Epoch)
	require.Len(t, done.Slots, 2)
	s := open(t, disk, longKey+"theirs", storage.OpenOptions{ExpectEpoch: 2, ExpectHeader: done.Header})
	require.NoError(t, s.Close())
	again, err := storage.Authenticate(t.Context(), disk, ours, storage.AuthenticateOptions{})
	require.NoError(t, err)
	require.False(t, again.Renewed)
	require.Equal(t, done.Header, again.Header)
	tool(t, cryptsetup, "open", "--test-passphrase", "--key-file", added, disk)
}

// Volumes of before, and of cryptsetup, open as ever, and are authenticated by one call. A
// token that was taken away is noticed by who knows that there was one.
func TestVolumeWithoutTokenIsAuthenticated(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	key := newKey(t, longKey)
	volume{key: longKey, kdf: cryptsetup.RandomKeyKDF()}.make(t, disk, "before")
	s := open(t, disk, longKey, storage.OpenOptions{})
	require.Zero(t, s.Header().Epoch)
	require.NoError(t, s.Close())
	refusedWith(t, disk, longKey, storage.OpenOptions{RequireAuthenticated: true}, "is not authenticated", "storage.Authenticate")
	added, err := storage.AddKey(t.Context(), disk, key, newKey(t, "another"), storage.KeyOptions{})
	require.NoError(t, err)
	require.Zero(t, added.Epoch, "nobody asked for a token")

	bare := storagetest.TakeSnapshot(t, disk, 0, 4*mib)
	done, err := storage.Authenticate(t.Context(), disk, key, storage.AuthenticateOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 1, done.Epoch)
	s = open(t, disk, longKey, storage.OpenOptions{RequireAuthenticated: true, ExpectVolume: s.Header().Volume})
	require.Equal(t, "before", readFile(t, filepath.Join(s.MountPoint(), "f")))
	require.NoError(t, s.Close())

	bare.Replay(t)
	refusedWith(t, disk, longKey, storage.OpenOptions{ExpectEpoch: 1}, "is not authenticated", "")
	_, err = storage.Authenticate(t.Context(), disk, key, storage.AuthenticateOptions{Expect: storage.KeyOptions{ExpectEpoch: 1}})
	require.ErrorIs(t, err, storage.ErrHeaderRejected)
	done, err = storage.Authenticate(t.Context(), disk, key, storage.AuthenticateOptions{Expect: storage.KeyOptions{ExpectEpoch: 1}, AcceptChanged: true})
	require.NoError(t, err)
	require.EqualValues(t, 2, done.Epoch, "above the one that is known")
}
