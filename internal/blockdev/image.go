package blockdev

import (
	"encoding/binary"
	"errors"
	"io"
)

// image gives probers the bytes of a device, read once in chunks. What lies
// outside the device reads as no bytes; err keeps the first other failure.
type image struct {
	r      io.ReaderAt
	size   int64
	chunks map[int64][]byte
	err    error
}

// chunkSize is small because most probers look at a few bytes far from the rest,
// and not smaller because some look at every block of a range: each read costs a
// system call, and more where the kernel has not read ahead.
const chunkSize = 32 << 10

func newImage(r io.ReaderAt, size uint64) *image {
	return &image{r: r, size: int64(size), chunks: map[int64][]byte{}}
}

// at returns n bytes at an offset (negative: from the end), or n zero bytes when
// they are not all there.
func (i *image) at(offset int64, n int) []byte {
	out := make([]byte, n)
	if offset < 0 {
		offset += i.size
	}
	if offset < 0 || offset+int64(n) > i.size {
		return out
	}
	for done := 0; done < n; {
		at := offset + int64(done)
		chunk := i.chunk(at / chunkSize * chunkSize)
		within := int(at % chunkSize)
		if within >= len(chunk) {
			return make([]byte, n)
		}
		done += copy(out[done:], chunk[within:])
	}
	return out
}

func (i *image) chunk(at int64) []byte {
	if chunk, ok := i.chunks[at]; ok {
		return chunk
	}
	chunk := make([]byte, min(chunkSize, i.size-at))
	n, err := i.r.ReadAt(chunk, at)
	if err != nil && !errors.Is(err, io.EOF) && i.err == nil {
		i.err = err
	}
	i.chunks[at] = chunk[:n]
	return chunk[:n]
}

func (i *image) has(offset int64, bytes string) bool {
	return string(i.at(offset, len(bytes))) == bytes
}

func (i *image) le16(offset int64) uint16 { return binary.LittleEndian.Uint16(i.at(offset, 2)) }
func (i *image) le32(offset int64) uint32 { return binary.LittleEndian.Uint32(i.at(offset, 4)) }
func (i *image) be16(offset int64) uint16 { return binary.BigEndian.Uint16(i.at(offset, 2)) }
func (i *image) be32(offset int64) uint32 { return binary.BigEndian.Uint32(i.at(offset, 4)) }
func (i *image) u8(offset int64) byte     { return i.at(offset, 1)[0] }
