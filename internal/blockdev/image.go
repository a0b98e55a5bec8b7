package blockdev

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// image gives probers the bytes of a device, read in chunks. What lies outside the
// device reads as no bytes; err keeps the first other failure.
type image struct {
	r      io.ReaderAt
	size   int64
	chunks []chunk // the last ones, the one that was used last at the end
	err    error
}

type chunk struct {
	at    int64
	bytes []byte
}

// chunkSize is small because most probers look at a few bytes far from the rest,
// and not smaller because some look at every block of a range: each read costs a
// system call, and more where the kernel has not read ahead.
const chunkSize = 32 << 10

// keptChunks is how many are kept: with three, few are read twice.
const keptChunks = 3

func newImage(r io.ReaderAt, size uint64) *image { return &image{r: r, size: int64(size)} }

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
	n := slices.IndexFunc(i.chunks, func(c chunk) bool { return c.at == at })
	if n < 0 {
		i.read(at)
		n = len(i.chunks) - 1
	}
	c := i.chunks[n]
	i.chunks = append(slices.Delete(i.chunks, n, n+1), c)
	return c.bytes
}

// read puts a chunk in the place of the one that was used longest ago.
func (i *image) read(at int64) {
	var buf []byte
	if len(i.chunks) < keptChunks {
		buf = make([]byte, chunkSize)
	} else {
		buf = i.chunks[0].bytes[:chunkSize]
		i.chunks = slices.Delete(i.chunks, 0, 1)
	}
	n, err := i.r.ReadAt(buf[:min(chunkSize, i.size-at)], at)
	if err != nil && !errors.Is(err, io.EOF) && i.err == nil {
		i.err = err
	}
	i.chunks = append(i.chunks, chunk{at, buf[:n]})
}

func (i *image) has(offset int64, bytes string) bool {
	return string(i.at(offset, len(bytes))) == bytes
}

func (i *image) le16(offset int64) uint16 { return binary.LittleEndian.Uint16(i.at(offset, 2)) }
func (i *image) le32(offset int64) uint32 { return binary.LittleEndian.Uint32(i.at(offset, 4)) }
func (i *image) be16(offset int64) uint16 { return binary.BigEndian.Uint16(i.at(offset, 2)) }
func (i *image) be32(offset int64) uint32 { return binary.BigEndian.Uint32(i.at(offset, 4)) }
func (i *image) u8(offset int64) byte     { return i.at(offset, 1)[0] }
