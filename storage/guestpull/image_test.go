package guestpull_test

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

// imageBuilder writes an image layer by layer, and keeps what all of them
// together look like when they are mounted.
type imageBuilder struct {
	t     testing.TB
	reg   *testRegistry
	image testImage
	tree  tree
}

func newImage(t testing.TB, reg *testRegistry) *imageBuilder {
	return &imageBuilder{t: t, reg: reg, tree: tree{".": rootNode()}}
}

// layer adds one layer, whose archive write writes. How it is compressed takes
// turns.
func (b *imageBuilder) layer(write func(*layerBuilder)) *imageBuilder {
	kinds := []string{"gzip", "zstd", ""}
	b.compressedLayer(kinds[len(b.image.Layers)%len(kinds)], write)
	return b
}

func (b *imageBuilder) compressedLayer(kind string, write func(*layerBuilder)) {
	b.t.Helper()
	file, err := os.CreateTemp(b.reg.blobs, "layer")
	require.NoError(b.t, err)
	hash, plainHash := digest.Canonical.Digester(), digest.Canonical.Digester()
	buffer := bufio.NewWriterSize(file, mib)
	packed := io.MultiWriter(buffer, hash.Hash())
	mediaType, compressor := compressorOf(b.t, kind, packed)
	l := &layerBuilder{t: b.t, tw: tar.NewWriter(io.MultiWriter(compressor, plainHash.Hash())), tree: b.tree, here: map[string]bool{}}
	write(l)
	require.NoError(b.t, l.tw.Close())
	require.NoError(b.t, compressor.Close())
	require.NoError(b.t, buffer.Flush())
	size, err := file.Seek(0, io.SeekEnd)
	require.NoError(b.t, err)
	require.NoError(b.t, file.Close())
	d := ocispec.Descriptor{MediaType: mediaType, Digest: hash.Digest(), Size: size}
	require.NoError(b.t, os.MkdirAll(filepath.Dir(b.reg.path(d.Digest)), 0o755))
	require.NoError(b.t, os.Rename(file.Name(), b.reg.path(d.Digest)))
	b.image.Layers = append(b.image.Layers, d)
	b.image.DiffIDs = append(b.image.DiffIDs, plainHash.Digest())
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func compressorOf(t testing.TB, kind string, w io.Writer) (mediaType string, c io.WriteCloser) {
	switch kind {
	case "gzip":
		c, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		require.NoError(t, err)
		return ocispec.MediaTypeImageLayerGzip, c
	case "zstd":
		c, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		require.NoError(t, err)
		return ocispec.MediaTypeImageLayerZstd, c
	}
	return ocispec.MediaTypeImageLayer, nopCloser{w}
}

// layerBuilder writes the archive of one layer.
type layerBuilder struct {
	t    testing.TB
	tw   *tar.Writer
	tree tree
	here map[string]bool // what this layer has
}

// when is the time of all that tests put into images, to the nanosecond.
var when = time.Unix(1_700_000_000, 123_456_789)

func (l *layerBuilder) write(h tar.Header, body io.Reader) {
	l.t.Helper()
	if h.ModTime.IsZero() {
		h.ModTime = when
	}
	h.Format = tar.FormatPAX
	require.NoError(l.t, l.tw.WriteHeader(&h))
	sum := sha256.New()
	if body != nil {
		_, err := io.Copy(io.MultiWriter(l.tw, sum), body)
		require.NoError(l.t, err)
	}
	l.tree.apply(h, hex.EncodeToString(sum.Sum(nil)), l.here)
}

func (l *layerBuilder) file(name, text string) {
	l.write(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}, strings.NewReader(text))
}

func (l *layerBuilder) dir(name string) {
	l.write(tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
}

func (l *layerBuilder) whiteout(name string) {
	l.write(tar.Header{Name: filepath.Join(filepath.Dir(name), ".wh."+filepath.Base(name)), Typeflag: tar.TypeReg, Mode: 0o644}, nil)
}

func (l *layerBuilder) opaque(dir string) {
	l.write(tar.Header{Name: dir + "/.wh..wh..opq", Typeflag: tar.TypeReg, Mode: 0o644}, nil)
}

// oddities are one of everything that an image can have.
func (l *layerBuilder) oddities(dir string) {
	l.write(tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o1777, Uid: 7, Gid: 8,
		PAXRecords: map[string]string{"SCHILY.xattr.user.dir": "of a directory"}}, nil)
	l.write(tar.Header{Name: dir + "/suid", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 1000, Gid: 1001, Size: 5, ModTime: when.Add(time.Hour),
		PAXRecords: map[string]string{"SCHILY.xattr.user.note": "with\x00zero", "SCHILY.xattr.security.capability": capability}}, strings.NewReader("hello"))
	l.write(tar.Header{Name: dir + "/hard", Typeflag: tar.TypeLink, Linkname: dir + "/suid", Mode: 0o4755, Uid: 1000, Gid: 1001, ModTime: when.Add(time.Hour),
		PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capability}}, nil)
	l.write(tar.Header{Name: dir + "/soft", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd", Mode: 0o777, Uid: 5}, nil)
	l.write(tar.Header{Name: dir + "/fifo", Typeflag: tar.TypeFifo, Mode: 0o600, Gid: 9}, nil)
	l.write(tar.Header{Name: dir + "/null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}, nil)
	l.write(tar.Header{Name: dir + "/disk", Typeflag: tar.TypeBlock, Mode: 0o660, Devmajor: 7, Devminor: 300}, nil)
	l.write(tar.Header{Name: dir + "/empty", Typeflag: tar.TypeReg, Mode: 0}, nil)
	l.write(tar.Header{Name: dir + "/name with spaces, “and” more\n", Typeflag: tar.TypeReg, Mode: 0o400, Size: 1}, strings.NewReader("x"))
}

// capability is cap_net_raw=ep as the kernel keeps it.
const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// fill adds files of about bytes together. About half of what they hold can be
// compressed away.
func (l *layerBuilder) fill(dir string, seed uint64, files int, bytes int64) {
	l.dir(dir)
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range files {
		sub := filepath.Join(dir, strconv.Itoa(i/100))
		if i%100 == 0 {
			l.dir(sub)
		}
		size := bytes / int64(files)
		if i%2 == 0 { // sizes differ, and rarely fit into blocks
			size += size / 2
		} else {
			size -= size / 2
		}
		h := tar.Header{Name: filepath.Join(sub, strconv.Itoa(i)), Typeflag: tar.TypeReg, Mode: 0o640, Uid: i % 3, Gid: i % 5, Size: size,
			ModTime: when.Add(time.Duration(i) * time.Second)}
		if i%50 == 0 {
			h.PAXRecords = map[string]string{"SCHILY.xattr.user.number": strconv.Itoa(i)}
		}
		l.write(h, io.LimitReader(&halfRandom{source: random}, size))
		if i%40 == 1 {
			link := h
			link.Name, link.Typeflag, link.Linkname, link.Size = h.Name+"-link", tar.TypeLink, h.Name, 0
			l.write(link, nil)
		}
	}
}

// halfRandom repeats every random byte.
type halfRandom struct {
	source *rand.Rand
}

func (h *halfRandom) Read(p []byte) (int, error) {
	for i := 0; i < len(p); i += 8 {
		var eight [8]byte
		word := h.source.Uint32()
		for j := range eight {
			eight[j] = byte(word >> (8 * (j / 2)))
		}
		copy(p[i:], eight[:])
	}
	return len(p), nil
}
