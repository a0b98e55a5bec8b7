package storage

import (
	"log/slog"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

// Integrity says how the contents of a volume are authenticated.
type Integrity = cryptsetup.Integrity

const (
	// HMACSHA256 authenticates every 4096-byte sector with a tag of 32 bytes:
	// a changed or moved block cannot be read. It is the zero value.
	HMACSHA256 = cryptsetup.HMACSHA256
	// NoIntegrity encrypts only: a changed block reads as noise, unnoticed.
	NoIntegrity = cryptsetup.None
)

// CreateOptions are the options of [Create]. The zero value makes an
// ephemeral, authenticated store, mounted at [DefaultMountPoint].
type CreateOptions struct {
	// Key makes the volume persistent: it gets one key slot. Nil makes it
	// ephemeral: its key exists in this kernel's memory and nowhere else.
	// The key is read, not kept; the caller wipes it.
	Key *Key
	// Name is that of the mapping; empty: [NamePrefix] and five random
	// letters or digits.
	Name string
	// MountPoint is the directory to mount at, made when missing. Empty:
	// [DefaultMountPoint]. [NoMount]: no filesystem, the mapping alone.
	MountPoint string
	// MountFlags restrict the mount further than it is anyway. A new store
	// that is ReadOnly is refused: nobody could ever write to it.
	MountFlags MountFlags
	// Integrity is HMACSHA256 unless said otherwise. AEGIS128 has an integrity of
	// its own, with which this stays at its zero value.
	Integrity Integrity
	// Cipher is AESXTS unless said otherwise.
	Cipher Cipher
	// Tags say where the tags of the blocks are.
	Tags TagOptions
	// Header says whether the volume has one. Without tags in memory it must.
	Header HeaderMode
	// Overwrite allows to destroy what the device holds. Without it a device
	// with a known signature is refused with [ErrNotBlank].
	Overwrite Overwrite
	// Filesystem sets what is fixed when a filesystem is made.
	Filesystem FilesystemOptions
	// Swap makes the mapping an area that the kernel swaps to, in place of a
	// filesystem. Nil: no swap.
	Swap *SwapOptions
	// Grow says who grows the filesystem to the size of the device.
	Grow GrowMode
	// Logger gets warnings, and each step with its time at level Debug. Nil:
	// no log.
	Logger *slog.Logger
	// Progress is told of each step that begins and of how far the long one,
	// writing the filesystem, is. Nil: nobody. It must not block.
	Progress func(Progress)

	// failAfter, in tests, lets the step of that name fail once it is done.
	failAfter func(step string) error
}

// Overwrite says what Create may destroy.
type Overwrite uint8

const (
	// OverwriteBlank refuses a device with a known signature, but for an
	// ephemeral volume of before, which is nobody's data.
	OverwriteBlank Overwrite = iota
	// OverwriteAnything destroys whatever the device holds.
	OverwriteAnything
)

// HeaderMode says whether an ephemeral volume has a LUKS2 header, which tells
// other programs what the device holds. It has no key slots: nothing in it is
// read again.
type HeaderMode uint8

const (
	// HeaderWritten: 16 MiB for a header, at the start of the device.
	HeaderWritten HeaderMode = iota
	// HeaderOmitted: the data begins where the device does, and looks like
	// random bytes.
	HeaderOmitted
)

// dataSector is where the data begins.
func (h HeaderMode) dataSector() uint64 {
	if h == HeaderOmitted {
		return 0
	}
	return dataSector
}

// FilesystemOptions are the options of the ext4 that [Create] makes.
type FilesystemOptions struct {
	// BytesPerInode is the filesystem's size divided by its number of
	// inodes. 0: 16 KiB up to 64 GiB, 64 KiB up to 1 TiB, 1 MiB above.
	BytesPerInode uint64
	// InodeSize is 256 or 128 bytes. 0: 256.
	InodeSize int
	// Label is up to 16 bytes.
	Label string
	// NoJournal leaves the journal out that a persistent store has. After a
	// crash such a filesystem may need a repair that the guest cannot do. An
	// ephemeral store never has one.
	NoJournal bool
}

// The steps that take long enough for a progress bar: their reports have a Total. The
// others are over at once; what they are called may change.
const (
	// StepWriteFilesystem: [Create] writes the metadata of the filesystem.
	StepWriteFilesystem = "write filesystem"
	// StepGrow: [Grow] and [Resize] grow the filesystem, of which Done is the size
	// by now.
	StepGrow = "grow"
	// StepVerify: [Verify] reads.
	StepVerify = "verify"
)

// Progress is one report of how far a call is.
type Progress struct {
	Step        string // StepWriteFilesystem, StepGrow, StepVerify, or another
	Done, Total uint64 // bytes; Total is 0 for steps that are over at once
}

// OpenOptions are the options of [Open]. The zero value opens an
// authenticated volume and mounts it at [DefaultMountPoint].
type OpenOptions struct {
	// Name and MountPoint are as in [CreateOptions].
	Name       string
	MountPoint string
	// MountFlags restrict the mount further than it is anyway. A store that is
	// mounted ReadOnly does not grow.
	MountFlags MountFlags
	// Integrity and Cipher, as in [CreateOptions], are what the volume must have; a
	// header that says otherwise is rejected.
	Integrity Integrity
	Cipher    Cipher
	// ExpectUUID, unless zero, is the only volume that is accepted.
	ExpectUUID uuid.UUID
	// ExpectHeader, unless zero, is the SHA-256 of the only header that is
	// accepted, of the device's first 32,768 bytes; [Inspect] and the command print
	// it. An old header that the host put back, perhaps with a key that was
	// removed since, is then rejected. It changes when a key is added or removed.
	ExpectHeader [32]byte
	// RequireAuthenticated rejects a header without a token that the volume key
	// authenticates. Without it such a header, as cryptsetup makes it, is taken; one
	// with a token that is not right never is.
	RequireAuthenticated bool
	// ExpectEpoch is the lowest epoch of an authenticated header that is accepted; it
	// includes RequireAuthenticated. An old header that the host put back is then
	// rejected. It may be the one of any change that is known: later ones are higher.
	ExpectEpoch uint64
	// ExpectVolume, unless zero, is the only [HeaderState].Volume that is accepted. It
	// stays the same whatever keys are added, changed or removed.
	ExpectVolume [32]byte
	// MaxArgon2Memory is the most memory in bytes that a key slot's argon2id
	// may ask for. 0: 64 MiB.
	MaxArgon2Memory uint64
	// Grow is as in [CreateOptions]; it goes on where growing stopped.
	Grow GrowMode
	// Logger and Progress are as in [CreateOptions].
	Logger   *slog.Logger
	Progress func(Progress)

	failAfter func(step string) error
}

func discardUnlessSet(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
