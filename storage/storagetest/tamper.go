package storagetest

import "testing"

// ReadBlock returns block number block (of [BlockSize] bytes) of a device, read
// past the page cache.
func ReadBlock(t testing.TB, device string, block int64) []byte {
	t.Helper()
	return readAt(t, device, block*BlockSize, BlockSize)
}

// WriteBlock overwrites a block of a device past the page cache, also when the
// device is in use below a mapping.
func WriteBlock(t testing.TB, device string, block int64, data []byte) {
	t.Helper()
	if len(data) != BlockSize {
		t.Fatalf("block of %d bytes, want %d", len(data), BlockSize)
	}
	writeAt(t, device, block*BlockSize, data)
}

// FlipBit inverts the lowest bit of the byte at offset of a device.
func FlipBit(t testing.TB, device string, offset int64) {
	t.Helper()
	block := ReadBlock(t, device, offset/BlockSize)
	block[offset%BlockSize] ^= 1
	WriteBlock(t, device, offset/BlockSize, block)
}

// SwapBlocks exchanges two blocks of a device.
func SwapBlocks(t testing.TB, device string, a, b int64) {
	t.Helper()
	blockA, blockB := ReadBlock(t, device, a), ReadBlock(t, device, b)
	WriteBlock(t, device, a, blockB)
	WriteBlock(t, device, b, blockA)
}

// SwapBytes exchanges two runs of n bytes of a device that need not be aligned,
// such as tags.
func SwapBytes(t testing.TB, device string, a, b int64, n int) {
	t.Helper()
	bytesA, bytesB := ReadBytes(t, device, a, n), ReadBytes(t, device, b, n)
	WriteBytes(t, device, a, bytesB)
	WriteBytes(t, device, b, bytesA)
}

// ReadBytes returns n bytes at any offset of a device, read past the page cache.
func ReadBytes(t testing.TB, device string, offset int64, n int) []byte {
	t.Helper()
	start, length := around(offset, n)
	within := offset - start
	return readAt(t, device, start, length)[within : within+int64(n)]
}

// WriteBytes overwrites bytes at any offset of a device; what is around them in
// their blocks is read and written back.
func WriteBytes(t testing.TB, device string, offset int64, data []byte) {
	t.Helper()
	start, length := around(offset, len(data))
	blocks := readAt(t, device, start, length)
	copy(blocks[offset-start:], data)
	writeAt(t, device, start, blocks)
}

// around returns the whole blocks that hold n bytes at offset.
func around(offset int64, n int) (start int64, length int) {
	start = offset / BlockSize * BlockSize
	end := (offset + int64(n) + BlockSize - 1) / BlockSize * BlockSize
	return start, int(max(end-start, BlockSize))
}
