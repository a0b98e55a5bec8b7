package blockdev

// Partition tables. Sources: UEFI specification, section 5.3; the classic PC
// boot record.
func boots() []prober { return []prober{gpt, mbr} }

const gptMagic = "EFI PART"

// gpt has its header in the second block, and a copy in the last.
func gpt(i *image) (Found, bool) {
	first := i.has(512, gptMagic) || i.has(4096, gptMagic)
	last := i.has(-512, gptMagic) || i.has(-4096, gptMagic)
	if last && !first {
		return Found{"GPT", "backup header only"}, true
	}
	return Found{Name: "GPT"}, first
}

const (
	bootMagic  = "\x55\xaa"
	mbrEntries = 446
)

// mbr asks for the magic and for four entries that could be such: random bytes
// and the boot sectors of file systems are not.
func mbr(i *image) (Found, bool) {
	if !i.has(510, bootMagic) {
		return Found{}, false
	}
	used := false
	for at := int64(mbrEntries); at < 510; at += 16 {
		if status := i.u8(at); status != 0 && status != 0x80 {
			return Found{}, false
		}
		used = used || i.u8(at+4) != 0 && i.le32(at+12) != 0
	}
	if !used {
		return Found{"MBR", "no partitions"}, true
	}
	return Found{Name: "MBR"}, true
}
