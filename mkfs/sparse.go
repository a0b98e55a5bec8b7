package mkfs

// hasSuper reports whether a group begins with a copy of the superblock and the group descriptors: the first two
// groups and the powers of 3, 5 and 7 (sparse_super; Documentation/filesystems/ext4/blockgroup.rst).
func hasSuper(group uint64) bool {
	return group <= 1 || group%2 == 1 && (isPower(group, 3) || isPower(group, 5) || isPower(group, 7))
}

func isPower(n, base uint64) bool {
	for n > 1 && n%base == 0 {
		n /= base
	}
	return n == 1
}

// backupGroups lists, in ascending order, the groups below groups that hold a copy, without group 0.
func backupGroups(groups uint64) []uint64 {
	var list []uint64
	three, five, seven := uint64(1), uint64(5), uint64(7)
	for {
		next := min(three, five, seven)
		if next >= groups {
			return list
		}
		list = append(list, next)
		switch next {
		case three:
			three *= 3
		case five:
			five *= 5
		default:
			seven *= 7
		}
	}
}
