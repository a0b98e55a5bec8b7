package guestpull_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

// rawArchive writes archives that no well-meant program writes.
type rawArchive struct{ bytes.Buffer }

// entry adds a header with a right checksum, and what follows it. size is what the
// header says; a number too large for octal digits is written in base 256.
func (r *rawArchive) entry(kind byte, name string, size int64, body []byte) {
	var h [512]byte
	copy(h[:100], name)
	copy(h[100:], "0000755\x000000000\x000000000\x00")
	if copy(h[124:], fmt.Sprintf("%011o\x00", size)); size >= 1<<33 {
		for i := range 12 {
			h[135-i] = byte(uint64(size) >> (8 * min(i, 7)))
			if i >= 8 {
				h[135-i] = 0
			}
		}
		h[124] = 0x80
	}
	copy(h[136:], "14524770000\x00        ")
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	r.Write(h[:])
	r.Write(body)
	r.Write(make([]byte, -len(body)&511))
}

// pax adds records that are for the next entry.
func (r *rawArchive) pax(records ...string) {
	var text strings.Builder
	for i := 0; i < len(records); i += 2 {
		text.WriteString(paxRecord(records[i], records[i+1]))
	}
	r.entry(tar.TypeXHeader, "pax", int64(text.Len()), []byte(text.String()))
}

func paxRecord(key, value string) string {
	n := len(key) + len(value) + 3
	for n != len(strconv.Itoa(n))+len(key)+len(value)+3 {
		n = len(strconv.Itoa(n)) + len(key) + len(value) + 3
	}
	return fmt.Sprintf("%d %s=%s\n", n, key, value)
}

// sparse adds a file that has a size, and no byte of contents.
func (r *rawArchive) sparse(name string, size int64) {
	r.pax("GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.name", name,
		"GNU.sparse.size", strconv.FormatInt(size, 10), "GNU.sparse.numblocks", "1", "GNU.sparse.map", strconv.FormatInt(size, 10)+",0")
	r.entry(tar.TypeReg, name, 0, nil)
}

func (r *rawArchive) end() []byte {
	r.Write(make([]byte, 1024))
	return r.Bytes()
}

// squeezed compresses well, as who wants much for little does.
func squeezed(t testing.TB, kind string, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch kind {
	case "gzip":
		c, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		require.NoError(t, err)
		_, err = c.Write(plain)
		require.NoError(t, err)
		require.NoError(t, c.Close())
	case "zstd":
		c, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		require.NoError(t, err)
		_, err = c.Write(plain)
		require.NoError(t, err)
		require.NoError(t, c.Close())
	default:
		return plain
	}
	return b.Bytes()
}

// pushSqueezed pushes an image of such layers, compressed.
func pushSqueezed(t testing.TB, reg *testRegistry, kind string, archives ...[]byte) string {
	t.Helper()
	var image testImage
	for _, a := range archives {
		image.Layers = append(image.Layers, reg.blob(t, ocispec.MediaTypeImageLayerGzip, squeezed(t, kind, a)))
		image.DiffIDs = append(image.DiffIDs, digest.FromBytes(a))
	}
	name, _ := reg.push(t, "app:1", image)
	return name
}
