package mkfs

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
)

// Content says what a block of a filesystem holds.
type Content string

const (
	ContentFile        Content = "file"
	ContentDirectory   Content = "directory"
	ContentSymlink     Content = "symbolic link"
	ContentExtents     Content = "extents" // where the rest of a file or directory is
	ContentAttributes  Content = "extended attributes"
	ContentJournal     Content = "journal"
	ContentSuperblock  Content = "superblock"
	ContentDescriptors Content = "group descriptors"
	ContentBlockBitmap Content = "block bitmap"
	ContentInodeBitmap Content = "inode bitmap"
	ContentInodeTable  Content = "inode table"
)

// Owner is what a block belongs to.
type Owner struct {
	Content Content // "": not known
	Inode   uint64  // 0: the filesystem itself
	// Paths are names of the inode, or for a block of an inode table of all files and directories whose inodes it
	// holds: absolute within the filesystem, ascending, at most 16. Names are bytes, of any value but 0 and '/'.
	Paths []string
	More  uint64 // names that are not in Paths
}

// ReadOwners finds out what blocks belong to, which must be ascending; those of which nothing is known are left out, as are
// the contents of files without extents. It reads what [ReadUsage] reads, and all directories when there is an inode to
// name. A name of which a part is not known, because a directory on the way cannot be read, is left out.
//
// On a mounted filesystem the answer is of no single moment: a file that is moved or removed meanwhile may get
// a name that it never had. Ask twice, and take what [Owner.Agreed] leaves.
//
// Beside the 4 KiB for each group in use it takes some KiB for each block asked for, 64 MiB at the most. It believes nothing:
// whatever dev returns, it ends, after it has read as many blocks of directories as twice the filesystem has. Errors are
// those of ReadUsage.
func ReadOwners(ctx context.Context, dev io.ReaderAt, size uint64, blocks []uint64) (map[uint64]Owner, error) {
	r, err := newUsageReader(ctx, dev, size)
	if err != nil {
		return nil, err
	}
	o := ownerReader{r, blocks, map[uint64]Owner{}}
	o.metadata()
	if err := r.eachInode(o.inode); err != nil {
		return nil, err
	}
	return o.owners, o.addPaths()
}

// Agreed returns what two answers agree on.
func (o Owner) Agreed(other Owner) Owner {
	if o.Content != other.Content || o.Inode != other.Inode {
		return Owner{}
	}
	o.Paths = slices.DeleteFunc(slices.Clone(o.Paths), func(path string) bool { return !slices.Contains(other.Paths, path) })
	o.More = min(o.More, other.More)
	return o
}

// ownerReader finds the owners of some blocks.
type ownerReader struct {
	*usageReader
	blocks []uint64 // ascending
	owners map[uint64]Owner
}

// own gives those of the blocks that are in s to an owner.
func (o *ownerReader) own(s span, owner Owner) {
	i, _ := slices.BinarySearch(o.blocks, s.start)
	for ; i < len(o.blocks) && o.blocks[i] < s.end(); i++ {
		o.owners[o.blocks[i]] = owner
	}
}

// metadata finds blocks of the filesystem itself.
func (o *ownerReader) metadata() {
	perBlock := BlockSize / o.descriptorBytes()
	for group := range o.groupCount() {
		if copies := nextRun(o.madeUpBitmap(group), 0); copies.count > 0 { // with those in reserve
			o.own(span{group*blocksPerGroup + copies.start, copies.count}, Owner{Content: ContentDescriptors})
		}
		if hasSuper(group) {
			o.own(span{group * blocksPerGroup, 1}, Owner{Content: ContentSuperblock})
		}
		d := &o.descriptors[group]
		o.own(span{d.blockBitmap, 1}, Owner{Content: ContentBlockBitmap})
		o.own(span{d.inodeBitmap, 1}, Owner{Content: ContentInodeBitmap})
		o.own(span{d.inodeTable, ceilDiv(o.tableBytes(), BlockSize)}, Owner{Content: ContentInodeTable})
	}
	for n := range ceilDiv(o.groupCount(), perBlock) {
		for _, at := range o.descriptorCopies(n, perBlock) {
			o.own(span{at, 1}, Owner{Content: ContentDescriptors})
		}
	}
}

// descriptorCopies returns where the n-th block of descriptors is, and its copies in a meta block group: at the start of
// the group's second and last member. Other copies follow those of the superblock.
func (o *ownerReader) descriptorCopies(n, perBlock uint64) []uint64 {
	at := []uint64{o.descriptorBlock(n, perBlock)}
	if o.super.FeatureIncompat&incompatMetaBG == 0 || n < uint64(o.super.FirstMetaBG) {
		return at
	}
	for _, group := range []uint64{n*perBlock + 1, (n+1)*perBlock - 1} {
		first := group * blocksPerGroup
		if hasSuper(group) {
			first++
		}
		at = append(at, first)
	}
	return at
}

// inode finds blocks of an inode.
func (o *ownerReader) inode(number uint64, inode []byte) {
	le := binary.LittleEndian
	content := o.contentOf(number, inode)
	o.inodeExtents(inode, func(e extent) {
		if e.node {
			o.own(e.span, Owner{Content: ContentExtents, Inode: number})
			return
		}
		o.own(e.span, Owner{Content: content, Inode: number})
	})
	if at := uint64(le.Uint32(inode[0x68:])) | uint64(le.Uint16(inode[0x76:]))<<32; at != 0 {
		o.own(span{at, 1}, Owner{Content: ContentAttributes, Inode: number})
	}
}

func (o *ownerReader) contentOf(number uint64, inode []byte) Content {
	switch {
	case number == uint64(o.super.JournalInode):
		return ContentJournal
	case isDirectory(inode):
		return ContentDirectory
	case binary.LittleEndian.Uint16(inode)&modeType == modeSymlink:
		return ContentSymlink
	}
	return ContentFile
}
