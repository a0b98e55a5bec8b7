package mkfs

import "slices"

// span is a run of consecutive blocks.
type span struct{ start, count uint64 }

func (s span) end() uint64 { return s.start + s.count }

// within is the number of blocks of s in [start, end).
func (s span) within(start, end uint64) uint64 {
	low, high := max(s.start, start), min(s.end(), end)
	if low >= high {
		return 0
	}
	return high - low
}

type kind uint8

const (
	kindBase kind = iota // superblock, descriptors and reserve of a group
	kindBlockBitmap
	kindInodeBitmap
	kindInodeTable
	kindRoot
	kindLostFound
	kindResize
	kindJournal
)

// item is one object on the device. For the four kinds of group metadata, group says whose it is; a journal's items
// are numbered by it.
type item struct {
	span
	kind  kind
	group uint64
}

// flexGroup is the placement of the metadata of up to 16 neighbouring groups: all their block bitmaps, then all their
// inode bitmaps, then all their inode tables, together at the start of the first group (flex_bg;
// Documentation/filesystems/ext4/blockgroup.rst). A filesystem of some TiB has thousands of these, so they are computed
// when needed instead of kept.
type flexGroup struct {
	first, groups uint64
	items         []item // ascending, without overlap

	bases         int // while placing: the first items, those of kindBase
	cursor, limit uint64

	blockBitmaps, inodeBitmaps, inodeTables [groupsPerFlex]uint64 // first blocks
	free                                    [groupsPerFlex]uint64 // blocks that nothing uses
	journal                                 []span                // in file order
}

// flex computes the flex group whose first group is first into f, reusing f's memory.
func (l *Layout) flex(first uint64, f *flexGroup) error {
	f.first = first
	f.groups = min(groupsPerFlex, l.Groups-first)
	f.items = f.items[:0]
	f.journal = f.journal[:0]
	f.cursor = first * blocksPerGroup
	f.limit = min(f.cursor+f.groups*blocksPerGroup, l.Blocks)
	f.addBases(l)
	ok := f.addAll(kindBlockBitmap, 1, &f.blockBitmaps) &&
		f.addAll(kindInodeBitmap, 1, &f.inodeBitmaps) &&
		f.addAll(kindInodeTable, l.InodeTableBlocks, &f.inodeTables) &&
		(first != 0 || f.addFiles(l))
	if !ok {
		return errNoRoom
	}
	slices.SortFunc(f.items, func(a, b item) int {
		if a.start < b.start {
			return -1
		}
		return 1
	})
	f.countFree(l)
	return nil
}

func (f *flexGroup) addBases(l *Layout) {
	for g := f.first; g < f.first+f.groups; g++ {
		if n := l.baseBlocks(g); n > 0 {
			f.items = append(f.items, item{span{g * blocksPerGroup, n}, kindBase, g})
		}
	}
	f.bases = len(f.items)
}

// addAll places one object for each group.
func (f *flexGroup) addAll(k kind, count uint64, starts *[groupsPerFlex]uint64) bool {
	for i := range f.groups {
		if !f.add(k, count, f.first+i) {
			return false
		}
		starts[i] = f.items[len(f.items)-1].start
	}
	return true
}

// addFiles places the blocks of the files that every filesystem has; all are in the first flex group.
func (f *flexGroup) addFiles(l *Layout) bool {
	if !f.add(kindRoot, rootBlocks, 0) || !f.add(kindLostFound, lostFoundBlocks, 0) {
		return false
	}
	if l.resizeBlocks() > 0 && !f.add(kindResize, 1, 0) {
		return false
	}
	for left := l.JournalBlocks; left > 0; {
		free := f.room()
		n := min(left, free.count)
		if n == 0 || len(f.journal) == maxInlineExtents {
			return false
		}
		f.take(item{span{free.start, n}, kindJournal, uint64(len(f.journal))})
		f.journal = append(f.journal, span{free.start, n})
		left -= n
	}
	return true
}

// add places an object of consecutive blocks into the first room that is large enough.
func (f *flexGroup) add(k kind, count, group uint64) bool {
	for {
		free := f.room()
		if free.count >= count {
			f.take(item{span{free.start, count}, k, group})
			return true
		}
		if free.end() >= f.limit {
			return false
		}
		f.cursor = free.end()
	}
}

func (f *flexGroup) take(i item) {
	f.items = append(f.items, i)
	f.cursor = i.end()
}

// room is the free run at or behind the cursor: up to the next group that begins with a copy, or the end.
func (f *flexGroup) room() span {
	start, end := f.cursor, f.limit
	for _, base := range f.items[:f.bases] {
		if start < base.start {
			end = base.start
			break
		}
		start = max(start, base.end())
	}
	if start >= end {
		return span{end, 0}
	}
	return span{start, end - start}
}

// countFree counts, group by group, the blocks that nothing uses.
func (f *flexGroup) countFree(l *Layout) {
	for i := range f.groups {
		f.free[i] = l.groupBlocks(f.first + i)
	}
	for _, i := range f.items {
		for g := i.start / blocksPerGroup; g*blocksPerGroup < i.end(); g++ {
			f.free[g-f.first] -= i.within(g*blocksPerGroup, (g+1)*blocksPerGroup)
		}
	}
}
