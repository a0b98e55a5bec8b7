package mkfs

// Features (fs/ext4/ext4.h). Not among them, on purpose:
//   - metadata_csum: the device below authenticates every block; and with it the kernel reads the bitmaps of groups that
//     it is just adding, which nobody has written yet.
//   - orphan_file and sparse_super2: nothing is gained, and old kernels do not know the first.
//   - meta_bg: the kernel switches to it when growing needs it.
const (
	compatHasJournal  = 0x0004
	compatExtAttr     = 0x0008
	compatResizeInode = 0x0010
	compatDirIndex    = 0x0020

	incompatFiletype = 0x0002
	incompatExtents  = 0x0040
	incompat64Bit    = 0x0080
	incompatFlexBG   = 0x0200

	roSparseSuper = 0x0001
	roLargeFile   = 0x0002
	roHugeFile    = 0x0008
	roGDTCsum     = 0x0010 // e2fsprogs calls it uninit_bg
	roDirNlink    = 0x0020
	roExtraIsize  = 0x0040
)

// setFeatures sets the features, and the fields that belong to one.
func (s *superblock) setFeatures(l *Layout) {
	s.FeatureCompat = compatExtAttr | compatDirIndex
	s.FeatureIncompat = incompatFiletype | incompatExtents | incompat64Bit | incompatFlexBG
	s.FeatureROCompat = roSparseSuper | roLargeFile | roHugeFile | roGDTCsum | roDirNlink
	if l.narrow {
		s.FeatureIncompat &^= incompat64Bit
	}
	if hasResizeInode(l.Blocks) {
		s.FeatureCompat |= compatResizeInode
	}
	if l.JournalBlocks > 0 {
		s.FeatureCompat |= compatHasJournal
	}
	if l.InodeSize > 128 {
		s.FeatureROCompat |= roExtraIsize
		s.MinExtraIsize, s.WantExtraIsize = extraInodeSize, extraInodeSize
	}
}
