package main

import "strings"

// copyMutations make the two copies differ, or damage one.
func copyMutations() []mutation {
	nullCipher := func(s string) string {
		return strings.Replace(s, `"encryption":"aes-xts-plain64","sector_size"`, `"encryption":"cipher_null-ecb","sector_size"`, 1)
	}
	return []mutation{
		{name: "copies-seqid-second-newer", about: "cryptsetup would take the second copy", rules: "copies.seqid", change: one(1, func(b []byte) { b[offSeqID+7] += 7 })},
		{name: "copies-seqid-first-newer", about: "cryptsetup would overwrite the second copy", rules: "copies.seqid", change: one(0, func(b []byte) { b[offSeqID+7] += 7 })},
		{name: "copies-json-second", about: "only the second copy has the null cipher", rules: "copies.json", change: func(i *image) { i.setJSON(1, nullCipher(i.json(1))); i.sum() }},
		{name: "copies-json-first", about: "only the first copy has the null cipher", rules: "copies.json segment.encryption", change: func(i *image) { i.setJSON(0, nullCipher(i.json(0))); i.sum() }},
		{name: "copies-json-trailing-second", about: "only the second copy has bytes behind the JSON text", rules: "copies.json", change: one(1, func(b []byte) { b[copySize-1] = 1 })},
		{name: "copies-second-newer-hostile", about: "a newer second copy with the null cipher, which cryptsetup would take", rules: "copies.json copies.seqid", change: func(i *image) {
			i.setJSON(1, nullCipher(i.json(1)))
			i.at(1)[offSeqID+7]++
			i.sum()
		}},
		{name: "first-zero", about: "the first copy is gone; cryptsetup would restore it", rules: "binary.magic", change: func(i *image) { clear(i.at(0)) }},
		{name: "second-zero", about: "the second copy is gone; cryptsetup would restore it", rules: "binary.magic", change: func(i *image) { clear(i.at(1)) }},
		{name: "first-checksum", about: "a wrong checksum in the first copy; cryptsetup would restore it", rules: "binary.csum", change: func(i *image) { i.at(0)[offCsum] ^= 1 }},
		{name: "second-checksum", about: "a wrong checksum in the second copy; cryptsetup would restore it", rules: "binary.csum", change: func(i *image) { i.at(1)[offCsum+31] ^= 0x80 }},
		{name: "both-checksums", about: "wrong checksums in both copies", rules: "binary.csum", change: func(i *image) { i.at(0)[offCsum] ^= 1; i.at(1)[offCsum] ^= 1 }},
		{name: "checksum-zero", about: "no checksum", rules: "binary.csum", change: func(i *image) { clear(i.at(0)[offCsum : offCsum+64]); clear(i.at(1)[offCsum : offCsum+64]) }},
		{name: "checksum-tail", about: "bytes behind the 32 of the checksum", rules: "binary.csum", change: func(i *image) { i.at(0)[offCsum+63] = 1; i.at(1)[offCsum+63] = 1 }},
		{name: "first-salt-flip", about: "one bit of the first copy's salt flipped", rules: "binary.csum", change: func(i *image) { i.at(0)[offSalt] ^= 4 }},
		{name: "second-json-flip", about: "one bit of the second copy's JSON flipped", rules: "binary.csum copies.json", change: func(i *image) { i.at(1)[binarySize+20] ^= 1 }},
	}
}
