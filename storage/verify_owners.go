package storage

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trusted-store/trusted-store/mkfs"
)

// confirm reads once more what could not be read, and reports what still cannot.
func (v *verifier) confirm(ctx context.Context, bad []uint64) error {
	slices.Sort(bad)
	bad = slices.Compact(bad)
	var owners map[uint64]mkfs.Owner
	if len(bad) > 0 {
		var err error
		if bad, owners, err = v.stillUsed(ctx, bad); err != nil {
			return err
		}
	}
	buffer := alignedBlocks(blockSize)
	for _, block := range bad {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch cause, err := v.block(buffer, block); {
		case err != nil:
			return err
		case cause != "":
			v.found.add(block, cause, owners[block])
		}
	}
	return nil
}

// stillUsed leaves out the blocks that are of no use any more: while the store is
// in use one can be freed before it was ever written. It also finds what the others
// belong to. Where all is read, all counts, and a filesystem that is not known, or
// cannot be asked, has no names.
func (v *verifier) stillUsed(ctx context.Context, bad []uint64) (still []uint64, owners map[uint64]mkfs.Owner, err error) {
	usage, err := v.usage(ctx)
	if v.opts.Scope == VerifyAll {
		if err == nil {
			owners, err = v.owners(ctx, bad)
		}
		if err != nil && ctx.Err() == nil {
			v.opts.Logger.Warn("the filesystem does not say what the unreadable blocks hold", "error", err)
		}
		return bad, owners, context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, block := range bad {
		if _, metadata := slices.BinarySearch(usage.Unreadable, block); metadata || usage.Uses(block) {
			still = append(still, block)
		}
	}
	owners, err = v.owners(ctx, still)
	return still, owners, err
}

// owners asks the filesystem what blocks belong to. While it is in use files get
// other names, and their blocks other files: only what it says twice counts.
func (v *verifier) owners(ctx context.Context, blocks []uint64) (map[uint64]mkfs.Owner, error) {
	owners, err := mkfs.ReadOwners(ctx, v.cached, v.size, blocks)
	if err != nil || v.root == nil {
		return owners, err
	}
	again, err := mkfs.ReadOwners(ctx, v.cached, v.size, blocks)
	for block, owner := range owners {
		owners[block] = owner.Agreed(again[block])
	}
	return owners, err
}

// add appends a block, to the run before it where that is the same.
func (v *Verification) add(block uint64, cause UnreadableCause, owner mkfs.Owner) {
	const sectors = blockSize / sectorSize
	v.UnreadableBytes += blockSize
	u := Unreadable{block * sectors, sectors, cause, owner.Content, owner.Inode, owner.Paths, owner.More}
	if n := len(v.Unreadable); n > 0 && v.Unreadable[n-1].continues(u) {
		v.Unreadable[n-1].Sectors += sectors
		return
	}
	v.Unreadable = append(v.Unreadable, u)
}

// continues reports whether next lies behind u and is the same.
func (u Unreadable) continues(next Unreadable) bool {
	return u.Sector+u.Sectors == next.Sector && u.Cause == next.Cause && u.Holds == next.Holds && u.Inode == next.Inode &&
		slices.Equal(u.Paths, next.Paths) && u.MorePaths == next.MorePaths
}

// String says where, why, and in which file. Paths that hold anything but what can
// be printed are quoted as in Go.
func (u Unreadable) String() string {
	text := fmt.Sprintf("sectors %d to %d: %s", u.Sector, u.Sector+u.Sectors-1, u.Cause)
	if u.Holds != "" {
		text += ", " + string(u.Holds)
	}
	if u.Inode != 0 && u.Holds != mkfs.ContentJournal {
		text += fmt.Sprintf(", inode %d", u.Inode)
	}
	if len(u.Paths) == 0 {
		return text
	}
	of := ": "
	if u.Holds == mkfs.ContentInodeTable {
		of = " of "
	}
	var names []string
	for _, path := range u.Paths {
		names = append(names, printable(path))
	}
	text += of + strings.Join(names, ", ")
	if u.MorePaths > 0 {
		text += fmt.Sprintf(" and %d more", u.MorePaths)
	}
	return text
}

// printable quotes a path that is not plain: one with a comma, too, which would
// look like two.
func printable(path string) string {
	quoted := strconv.Quote(path)
	if quoted == `"`+path+`"` && !strings.Contains(path, ", ") && !strings.Contains(path, " and ") {
		return path
	}
	return quoted
}
