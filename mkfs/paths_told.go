package mkfs

import (
	"slices"
	"strings"
)

// addPaths names the inodes of the owners.
func (o *ownerReader) addPaths() error {
	inodes := map[uint64][]uint64{}
	f := newPathFinder(o.usageReader)
	for _, block := range o.blocks {
		if owner, ok := o.owners[block]; ok {
			inodes[block] = o.inodesOf(block, owner)
			f.want(inodes[block])
		}
	}
	if err := f.find(); err != nil {
		return err
	}
	for _, block := range o.blocks {
		if owner, ok := o.owners[block]; ok {
			owner.Paths, owner.More = f.paths(inodes[block])
			o.owners[block] = owner
		}
	}
	return nil
}

// inodesOf returns the inodes that are to be named: those that a block of an inode table holds, else the owner's.
func (o *ownerReader) inodesOf(block uint64, owner Owner) (inodes []uint64) {
	if owner.Content != ContentInodeTable {
		return []uint64{owner.Inode}
	}
	perBlock := BlockSize / uint64(o.InodeSize)
	for group := range o.descriptors {
		table := span{o.descriptors[group].inodeTable, ceilDiv(o.tableBytes(), BlockSize)}
		if block < table.start || block >= table.end() {
			continue
		}
		first := (block - table.start) * perBlock
		for i := first; i < min(first+perBlock, o.InodesPerGroup); i++ {
			inodes = append(inodes, uint64(group)*o.InodesPerGroup+i+1)
		}
		break
	}
	return inodes
}

// paths returns the paths of inodes, ascending, and how many more there are.
func (f *pathFinder) paths(inodes []uint64) (paths []string, more uint64) {
	for _, inode := range inodes {
		if inode == rootInode {
			paths = append(paths, "/")
		}
		l := f.links[inode]
		if l == nil {
			continue
		}
		more += l.more
		for _, link := range l.told {
			if f.pathBytes > maxPathBytes {
				more++
			} else if path := f.path(link); path != "" {
				paths = append(paths, path)
				f.pathBytes += len(path)
			}
		}
	}
	slices.Sort(paths)
	if len(paths) > maxPaths {
		more += uint64(len(paths) - maxPaths)
		paths = paths[:maxPaths:maxPaths]
	}
	return paths, more
}

// path follows a link up to the root; "": that cannot be done.
func (f *pathFinder) path(l link) string {
	parts := []string{l.name}
	for l.directory != rootInode {
		above := f.links[l.directory]
		if above == nil || len(above.told) == 0 || len(parts) == maxPathDepth {
			return ""
		}
		l = above.told[0]
		parts = append(parts, l.name)
	}
	slices.Reverse(parts)
	return "/" + strings.Join(parts, "/")
}
