package storage_test

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// smallVolume has room for a filesystem and little to hash.
const smallVolume = 24 * mib

// kernelEvents counts what the kernel announced: every block device that was
// made or removed is in it.
func kernelEvents(t *testing.T) string {
	t.Helper()
	return readFile(t, "/sys/kernel/uevent_seqnum")
}

// writes counts what was written to or discarded from a disk, whatever it was.
func writes(t *testing.T, disk string) string {
	t.Helper()
	f, err := os.Open(disk)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.Fsync(int(f.Fd())), "bring out what is in the page cache")
	fields := strings.Fields(readFile(t, filepath.Join("/sys/class/block", filepath.Base(disk), "stat")))
	return fields[6] + " sectors written, " + fields[13] + " discarded"
}

// refused checks that Open fails as wanted, with the right key and a wrong one,
// that nothing is written to the disk, and that nothing reached device-mapper or
// a keyring.
func refused(t *testing.T, device, disk, key string, opts storage.OpenOptions, want error) []error {
	t.Helper()
	var errs []error
	before := writes(t, disk)
	for _, k := range []string{key, "wrong"} {
		events, keys := kernelEvents(t), readFile(t, "/proc/keys")
		_, err := tryOpen(t, device, k, opts)
		require.ErrorIs(t, err, want, "key %q", k)
		require.Equal(t, events, kernelEvents(t), "a mapping was made")
		require.LessOrEqual(t, strings.Count(readFile(t, "/proc/keys"), "logon"), strings.Count(keys, "logon"))
		require.Equal(t, before, writes(t, disk), "the disk was written to")
		errs = append(errs, err)
	}
	return errs
}

// The counters that refused relies on do count.
func TestCountersCount(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	persistent(t, disk, longKey, "", storage.CreateOptions{})
	events, written := kernelEvents(t), writes(t, disk)
	open(t, disk, longKey, storage.OpenOptions{MountPoint: storage.NoMount})
	require.NotEqual(t, events, kernelEvents(t))
	storagetest.FlipBit(t, disk, smallVolume-1)
	require.NotEqual(t, written, writes(t, disk))
}

// Headers outside the profile, each with its checksums right.
func TestOpenRefusesHeaders(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	persistent(t, disk, longKey, "", storage.CreateOptions{})
	good := storagetest.TakeSnapshot(t, disk, 0, 4*mib)
	for name, attack := range map[string]struct {
		rule string
		do   func(t *testing.T)
	}{
		"blank":             {cryptsetup.RuleHeaderNone, func(t *testing.T) { storagetest.WriteBytes(t, disk, 0, make([]byte, 4*mib)) }},
		"ciphers null":      {"segment.encryption", func(t *testing.T) { editHeader(t, disk, replaceAll("aes-xts-plain64", "cipher_null-ecb")) }},
		"no journal":        {"config.flags", func(t *testing.T) { editHeader(t, disk, addFlag("no-journal")) }},
		"first copy gone":   {"binary.magic", func(t *testing.T) { storagetest.WriteBytes(t, disk, 0, make([]byte, 4096)) }},
		"second copy gone":  {"binary.magic", func(t *testing.T) { storagetest.WriteBytes(t, disk, 16384, make([]byte, 4096)) }},
		"a bit in the JSON": {"binary.csum", func(t *testing.T) { storagetest.FlipBit(t, disk, 4096+200) }},
		"integrity taken away": {cryptsetup.RuleIntegrity, func(t *testing.T) {
			editHeader(t, disk, replaceAll(`,"integrity":{"type":"hmac(sha256)","journal_encryption":"none","journal_integrity":"none"}`, ""))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			defer good.Replay(t)
			attack.do(t)
			for _, err := range refused(t, disk, disk, longKey, storage.OpenOptions{}, storage.ErrHeaderRejected) {
				var rejected *cryptsetup.RejectedError
				require.ErrorAs(t, err, &rejected)
				require.True(t, rejected.Has(attack.rule), "%v", err)
			}
		})
	}
	open(t, disk, longKey, storage.OpenOptions{}) // as it was, it opens
}

func addFlag(flag string) func(string) string {
	return replaceAll(`"config":{`, `"config":{"flags":["`+flag+`"],`)
}

func TestOpenRefusesKeyAndUUID(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	id := persistent(t, disk, longKey, "", storage.CreateOptions{})
	before := digest(t, disk)
	refused(t, disk, disk, longKey+"?", storage.OpenOptions{ExpectUUID: id}, storage.ErrWrongKey)
	for _, err := range refused(t, disk, disk, longKey, storage.OpenOptions{ExpectUUID: uuid.New()}, storage.ErrHeaderRejected) {
		require.ErrorContains(t, err, cryptsetup.RuleUUID)
	}
	require.Equal(t, before, digest(t, disk), "byte for byte as it was")
}

// The host swaps in another volume to which the same key fits: only the UUID
// tells.
func TestSwappedVolume(t *testing.T) {
	kernel(t)
	mine, other := storagetest.Disk(t, smallVolume), storagetest.Disk(t, smallVolume)
	id := persistent(t, mine, longKey, "mine", storage.CreateOptions{})
	persistent(t, other, longKey, "other", storage.CreateOptions{})
	swapped := storagetest.NewFaulty(t, mine)
	swapped.Set(t, storagetest.Fault{Kind: storagetest.Replaced, With: other})
	refused(t, swapped.Path(), other, longKey, storage.OpenOptions{ExpectUUID: id}, storage.ErrHeaderRejected)
	s := open(t, swapped.Path(), longKey, storage.OpenOptions{})
	require.Equal(t, "other", readFile(t, filepath.Join(s.MountPoint(), "f")), "the premise: without the UUID it opens")
}

// The host puts an old header of the same volume back, whose key was removed
// since: only its digest tells.
func TestOldHeader(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	persistent(t, disk, longKey, "contents", storage.CreateOptions{})
	leaked, kept := newKey(t, longKey), newKey(t, longKey+"kept")
	_, err := storage.AddKey(t.Context(), disk, leaked, kept, storage.KeyOptions{})
	require.NoError(t, err)
	old := storagetest.TakeSnapshot(t, disk, 0, 4*mib)
	_, err = storage.RemoveKey(t.Context(), disk, 0, kept, storage.KeyOptions{})
	require.NoError(t, err)
	found, err := storage.Inspect(disk, storage.InspectOptions{HeaderOnly: true})
	require.NoError(t, err)
	pin, err := hex.DecodeString(found.Header.Fingerprint)
	require.NoError(t, err)
	pinned := storage.OpenOptions{ExpectHeader: [32]byte(pin)}
	require.NoError(t, open(t, disk, longKey+"kept", pinned).Close())

	old.Replay(t)
	for _, err := range refused(t, disk, disk, longKey, pinned, storage.ErrHeaderRejected) {
		require.ErrorContains(t, err, cryptsetup.RuleFingerprint)
	}
	open(t, disk, longKey, storage.OpenOptions{}) // the premise: without it the old key opens
}

// A device that was cut off is refused by its size, before or after the header.
func TestTruncatedDevice(t *testing.T) {
	kernel(t)
	image := storagetest.SparseFile(t, smallVolume)
	persistent(t, storagetest.Attach(t, image, storagetest.DiskOptions{}), longKey, "", storage.CreateOptions{})
	whole, err := os.ReadFile(image)
	require.NoError(t, err)
	for size, want := range map[int]error{
		4096:                   storage.ErrUnsuitable,
		cryptsetup.DataOffset:  storage.ErrUnsuitable,
		smallVolume / 2:        storage.ErrUnsuitable,
		smallVolume - 1024*4:   storage.ErrHeaderRejected,
		superblockOffset + 512: storage.ErrUnsuitable,
	} {
		cut := filepath.Join(t.TempDir(), "cut")
		require.NoError(t, os.WriteFile(cut, whole[:size], 0o600))
		disk := storagetest.Attach(t, cut, storagetest.DiskOptions{})
		before := writes(t, disk)
		_, err := tryOpen(t, disk, longKey, storage.OpenOptions{})
		require.ErrorIs(t, err, want, "%d bytes", size)
		require.Equal(t, before, writes(t, disk))
	}
}

// Where the device cannot be read there is an I/O error, not a verdict on what
// could not be seen.
func TestUnreadableDevice(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	persistent(t, disk, longKey, "", storage.CreateOptions{})
	faulty := storagetest.NewFaulty(t, disk)
	for _, place := range []int64{0, 16384, 32768 + 100*4096, superblockOffset} {
		faulty.Set(t, storagetest.Fault{Offset: place, Length: 4096})
		before := writes(t, disk)
		events := kernelEvents(t)
		_, err := tryOpen(t, faulty.Path(), longKey, storage.OpenOptions{})
		require.ErrorIs(t, err, unix.EIO, "error at %d", place)
		require.NotErrorIs(t, err, storage.ErrHeaderRejected)
		require.Equal(t, events, kernelEvents(t))
		require.Equal(t, before, writes(t, disk))
	}
	faulty.Set(t)
	open(t, faulty.Path(), longKey, storage.OpenOptions{})
}

// A device in use by anybody is left alone.
func TestBusyDevice(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	persistent(t, disk, longKey, "", storage.CreateOptions{})

	exclusive, err := os.OpenFile(disk, os.O_RDONLY|unix.O_EXCL, 0)
	require.NoError(t, err)
	defer exclusive.Close()
	refused(t, disk, disk, longKey, storage.OpenOptions{}, storage.ErrBusy)
	require.NoError(t, exclusive.Close())

	locked, err := os.Open(disk)
	require.NoError(t, err)
	defer locked.Close()
	require.NoError(t, unix.Flock(int(locked.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	refused(t, disk, disk, longKey, storage.OpenOptions{}, storage.ErrBusy)
	require.NoError(t, locked.Close())

	s := open(t, disk, longKey, storage.OpenOptions{MountPoint: storage.NoMount})
	for _, err := range refused(t, disk, disk, longKey, storage.OpenOptions{}, storage.ErrBusy) {
		require.ErrorContains(t, err, s.Name(), "says who has it")
	}
}

// superblockRules returns the rules that the superblock broke.
func superblockRules(err error) (rules []string) {
	var rejected *integrity.RejectedError
	if errors.As(err, &rejected) {
		for _, v := range rejected.Violations {
			rules = append(rules, v.Rule)
		}
	}
	return rules
}
