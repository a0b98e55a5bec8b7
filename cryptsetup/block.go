package cryptsetup

import "unsafe"

// alignedBytes returns n zero bytes whose address is a multiple of 4096, as
// O_DIRECT demands. Memory on the Go heap does not move.
func alignedBytes(n int) []byte {
	b := make([]byte, n+blockSize)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (blockSize - 1)
	return b[skip : skip+n : skip+n]
}

// alignedCopy returns a copy of b that is aligned.
func alignedCopy(b []byte) []byte {
	out := alignedBytes(len(b))
	copy(out, b)
	return out
}
