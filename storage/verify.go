package storage

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/mkfs"
)

// VerifyScope says what [Verify] reads.
type VerifyScope uint8

const (
	// VerifyUsed reads what the filesystem has in use and was written: files,
	// directories and its own blocks. It is the zero value.
	VerifyUsed VerifyScope = iota
	// VerifyAll reads the whole mapping. That is right only where each block was
	// written once, as cryptsetup does when it formats with integrity: blocks that
	// nobody has ever written cannot be read.
	VerifyAll
)

// String returns "used" or "all".
func (s VerifyScope) String() string {
	if s == VerifyAll {
		return "all"
	}
	return "used"
}

// MarshalText returns the same, for JSON.
func (s VerifyScope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// VerifyOptions are the options of [Verify].
type VerifyOptions struct {
	Scope VerifyScope
	// Logger is as in [CreateOptions].
	Logger *slog.Logger
	// Progress is told how much was read. Nil: nobody. It must not block.
	Progress func(Progress)
}

// Verification is what [Verify] found.
type Verification struct {
	Name  string      `json:"name"`
	Scope VerifyScope `json:"scope"`
	// Authenticated is false for a volume without integrity: there a changed block
	// reads as noise, and only what the device itself cannot read is found.
	Authenticated bool   `json:"authenticated"`
	Bytes         uint64 `json:"bytes"` // that were read
	// Complete is false when there may be more: after 65,536 unreadable blocks
	// Verify stops, and where blocks cannot be read that say what else is in use.
	Complete        bool         `json:"complete"`
	UnreadableBytes uint64       `json:"unreadable_bytes"`
	Unreadable      []Unreadable `json:"unreadable"` // ascending
}

// Unreadable is a run of the mapping that cannot be read, in whole blocks of 4096
// bytes. Sectors have 512 bytes.
type Unreadable struct {
	Sector  uint64          `json:"sector"`
	Sectors uint64          `json:"sectors"`
	Cause   UnreadableCause `json:"cause"`
	// Holds is "file", "directory", "symbolic link", "extents" or "extended attributes" of
	// one, "journal", "superblock", "group descriptors", "block bitmap", "inode bitmap"
	// or "inode table"; "": not known.
	Holds mkfs.Content `json:"holds,omitempty"`
	// Inode is that of the file or directory; 0: none, or not known.
	Inode uint64 `json:"inode,omitempty"`
	// Paths are its names in the filesystem, at most 16, or those of all whose inodes
	// a table holds. Bytes that are no UTF-8 are U+FFFD in JSON.
	Paths []string `json:"paths,omitempty"`
	// MorePaths is the number of names that are not in Paths.
	MorePaths uint64 `json:"more_paths,omitempty"`
}

// UnreadableCause says why a block cannot be read.
type UnreadableCause string

const (
	// Unauthentic: the device returned something that is not what was written
	// there.
	Unauthentic UnreadableCause = "does not authenticate"
	// DeviceFailed: the device returned nothing.
	DeviceFailed UnreadableCause = "input/output error"
)

// Verify reads what is on a live store, and reports each block that cannot be
// read, also where nobody would have looked for years. nameOrDir is as for
// [Close]. The error is [ErrIntegrity] when there was any, together with the
// Verification.
//
// A store is not wiped when it is made: a block that was never written has no
// valid tag, and reading it would fail. So Verify asks the filesystem what was
// written, and reads that and no more: what was freed or only reserved is left
// out. The store may be in use meanwhile; it is synced, and what fails is
// looked at once more. What is written while Verify runs may be left out.
//
// Only when there is something to report does it ask the filesystem what the blocks
// hold, and reads all directories for the names. Paths begin at the root of the
// filesystem, wherever that is mounted. Of a file that is moved or removed meanwhile,
// or that is in a directory which cannot be read, there may be the inode alone.
//
// It shows what the device returns now. Tags that the kernel has in its buffers,
// for some minutes after they were used, are not read again, and with tags on the
// device an old block with its old tag is authentic.
//
// It needs root, 1 MiB of memory for each of a few reads at once and 32 MiB for
// each TiB in use, with names 64 MiB more at the most. When a persistent store is mounted it needs Linux 5.14.
func Verify(ctx context.Context, nameOrDir string, opts VerifyOptions) (*Verification, error) {
	v, err := verifyStore(ctx, nameOrDir, opts)
	return v, failure("verify", nameOrDir, "", err)
}

func verifyStore(ctx context.Context, nameOrDir string, opts VerifyOptions) (*Verification, error) {
	live, err := findLive(nameOrDir)
	if err != nil {
		return nil, err
	}
	if use, err := swapUseOf(live.crypt.info.Device); use != nil || err != nil {
		return nil, errors.Join(err, refuse(ErrInvalid, "", "the kernel swaps to it, and says of no page whether it was written"))
	}
	v, err := newVerifier(live, opts)
	if err != nil {
		return nil, err
	}
	defer v.close()
	if err := v.verify(ctx); err != nil {
		return nil, err
	}
	return &v.found, v.found.err()
}

// findLive finds a live store whose encryption layer is there.
func findLive(nameOrDir string) (*live, error) {
	control, err := openControl()
	if err != nil {
		return nil, err
	}
	defer control.Close()
	name, err := resolveName(control, nameOrDir)
	if err != nil {
		return nil, err
	}
	live, err := readLive(control, name)
	if err == nil && live.crypt == nil {
		err = refuse(ErrInvalid, "storage.Close("+name+")", "the store is incomplete: its encryption layer is missing")
	}
	return live, err
}

func (v *Verification) err() error {
	if len(v.Unreadable) == 0 {
		return nil
	}
	hint := "the contents of these blocks are lost; no file has them, or it is not known which"
	switch {
	case slices.ContainsFunc(v.Unreadable, func(u Unreadable) bool { return len(u.Paths) > 0 }):
		hint = "what the named files and directories hold there is lost"
	case slices.ContainsFunc(v.Unreadable, func(u Unreadable) bool { return u.Inode != 0 && u.Holds != mkfs.ContentJournal }):
		hint = "find DIR -xdev -inum INODE may name a file; its contents there are lost"
	}
	blocks := v.UnreadableBytes / blockSize
	if blocks == 1 {
		return refuse(ErrIntegrity, hint, "1 block of %d bytes cannot be read", blockSize)
	}
	return refuse(ErrIntegrity, hint, "%d blocks of %d bytes cannot be read", blocks, blockSize)
}

// path returns the node of the upper mapping.
func (l *live) path() string { return dm.Path(l.crypt.info.Name) }
