package mkfs

import "slices"

const (
	maxPaths     = 16       // told of an owner
	maxWanted    = 1 << 17  // inodes that are named, with the directories above them
	maxLinks     = 1 << 17  // directory entries remembered
	maxPathDepth = 2048     // as many as 4096 bytes can have
	maxPathBytes = 16 << 20 // of all paths
)

// link is a directory entry that names an inode.
type link struct {
	directory uint64
	name      string
}

// links are the entries of one inode.
type links struct {
	told []link
	more uint64 // that are not in told
}

// pathFinder names inodes. One pass over all directories finds the entries of those that are wanted; from there on only
// the directories above them are looked at, a level at a time.
type pathFinder struct {
	*usageReader
	links     map[uint64]*links // by inode, of those that are wanted
	linkCount int
	pathBytes int
	dirBlocks uint64 // read so far
	block     []byte
}

func newPathFinder(r *usageReader) *pathFinder {
	return &pathFinder{usageReader: r, links: map[uint64]*links{}, block: make([]byte, BlockSize)}
}

// want adds inodes that are to be named. The reserved ones have no names.
func (f *pathFinder) want(inodes []uint64) {
	for _, inode := range inodes {
		if inode >= firstInode && len(f.links) < maxWanted && f.links[inode] == nil {
			f.links[inode] = &links{}
		}
	}
}

func (f *pathFinder) find() error {
	if len(f.links) == 0 {
		return nil
	}
	err := f.eachInode(func(number uint64, inode []byte) {
		f.entries(inode, func(name []byte, child uint64) bool {
			if string(name) != ".." {
				f.add(child, number, name, maxPaths)
			}
			return true
		})
	})
	for level := 0; err == nil && level < maxPathDepth && f.parents(); level++ {
		err = f.ctx.Err()
	}
	return err
}

// add remembers an entry of a wanted inode.
func (f *pathFinder) add(inode, directory uint64, name []byte, most int) {
	l := f.links[inode]
	switch {
	case l == nil:
	case len(l.told) < most && f.linkCount < maxLinks:
		f.linkCount++
		l.told = append(l.told, link{directory, string(name)})
	default:
		l.more++
	}
}

// parents names the directories that links are in and that have no name yet. It reports whether there were any. A directory
// is tried once, so loops end.
func (f *pathFinder) parents() bool {
	var unnamed []uint64
	for _, l := range f.links {
		for _, link := range l.told {
			if link.directory != rootInode && f.links[link.directory] == nil {
				unnamed = append(unnamed, link.directory)
			}
		}
	}
	above := map[uint64][]uint64{} // directories by the one that they are in
	for _, directory := range unnamed {
		if f.links[directory] == nil && len(f.links) < maxWanted {
			f.links[directory] = &links{}
			parent := f.parentOf(directory)
			above[parent] = append(above[parent], directory)
		}
	}
	for parent, directories := range above {
		slices.Sort(directories)
		f.entries(f.readInode(parent), func(name []byte, child uint64) bool {
			if _, found := slices.BinarySearch(directories, child); found && string(name) != ".." {
				f.add(child, parent, name, 1)
			}
			return true
		})
	}
	return len(above) > 0
}

// parentOf returns what a directory calls its parent; 0 when that cannot be read.
func (f *pathFinder) parentOf(directory uint64) (parent uint64) {
	f.entries(f.readInode(directory), func(name []byte, child uint64) bool {
		if string(name) == ".." {
			parent = child
		}
		return parent == 0
	})
	return parent
}
