package blockdev

// Members of arrays. Sources: md_p.h of the kernel and its description of the
// places of the superblock; Intel's and SNIA DDF's metadata as mdadm reads them.
func raids() []prober {
	return []prober{
		mdRaid,
		magic("Intel RAID", "Intel Raid ISM Cfg Sig. ", -1024),
		magic("DDF RAID", "\xde\x11\xde\x11", -512),
	}
}

func mdRaid(i *image) (Found, bool) {
	const magic = 0xa92b4efc
	places := []struct {
		at      int64
		version string
	}{
		{4096, "1.2"},
		{0, "1.1"},
		{(i.size/512 - 16) &^ 7 * 512, "1.0"},
		{i.size&^0xffff - 0x10000, "0.90"},
	}
	for _, p := range places {
		major := uint32(1)
		if p.version == "0.90" {
			major = 0
		}
		little := i.le32(p.at) == magic && i.le32(p.at+4) == major
		big := i.be32(p.at) == magic && i.be32(p.at+4) == major
		if p.at >= 0 && (little || big) {
			return Found{"md-raid", "metadata " + p.version}, true
		}
	}
	return Found{}, false
}
