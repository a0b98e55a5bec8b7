package guestpull_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
)

func archived(write func(r *rawArchive)) []byte {
	var r rawArchive
	write(&r)
	return r.end()
}

// greedy are layers that want more than the 1 MiB that they are allowed, or than
// what they bring is worth.
var greedy = map[string]struct {
	write func(r *rawArchive)
	kind  error
	says  string
}{
	"a sparse file": {func(r *rawArchive) { r.sparse("f", 64*mib) }, guestpull.ErrNoRoom, "more than the 1.0 MiB that it may take: 64 MiB or more"},
	"sparse files": {func(r *rawArchive) {
		for i := range 64 {
			r.sparse(fmt.Sprint(i), 600<<10)
		}
	}, guestpull.ErrNoRoom, "more than the 1.0 MiB that it may take: 1.2 MiB or more"},
	"a sparse file in the old form": {func(r *rawArchive) { r.oldSparse("f", 64*mib) }, guestpull.ErrNoRoom, "64 MiB or more"},
	"one name again and again": {func(r *rawArchive) {
		for range 300 {
			r.entry(tar.TypeReg, "f", 4096, make([]byte, 4096))
		}
	}, guestpull.ErrNoRoom, "more than the 1.0 MiB"},
	"directories": {func(r *rawArchive) {
		for i := range 300 {
			r.entry(tar.TypeDir, fmt.Sprint(i), 0, nil)
		}
	}, guestpull.ErrNoRoom, "more than the 1.0 MiB"},
	"one directory, again and again": {func(r *rawArchive) {
		for range 300 {
			r.entry(tar.TypeDir, "d", 0, nil)
			r.entry(tar.TypeReg, ".wh.d", 0, nil)
		}
	}, guestpull.ErrNoRoom, "more than the 1.0 MiB"},
	"directories on the way": {func(r *rawArchive) {
		for i := range 30 {
			r.entry(tar.TypeReg, fmt.Sprint(i, strings.Repeat("/d", 20)), 0, nil)
		}
	}, guestpull.ErrNoRoom, "more than the 1.0 MiB"},
	"files of one byte": {func(r *rawArchive) {
		for i := range 300 {
			r.entry(tar.TypeReg, fmt.Sprint(i), 1, []byte("x"))
		}
	}, guestpull.ErrNoRoom, "more than the 1.0 MiB"},
	"attributes": {func(r *rawArchive) {
		for i := range 300 {
			r.pax("SCHILY.xattr.user.x", strings.Repeat("x", 300))
			r.entry(tar.TypeReg, fmt.Sprint(i), 0, nil)
		}
	}, guestpull.ErrNoRoom, "more than the 1.0 MiB"},
	"symbolic links": {func(r *rawArchive) {
		for i := range 300 {
			r.pax("linkpath", strings.Repeat("t", 100))
			r.entry(tar.TypeSymlink, fmt.Sprint(i), 0, nil)
		}
	}, guestpull.ErrNoRoom, "more than the 1.0 MiB"},
	"entries": {func(r *rawArchive) {
		for range 67_000 {
			r.entry(tar.TypeReg, "f", 0, nil)
		}
	}, guestpull.ErrNoRoom, "17 MiB of headers that it may take"},
	"headers": {func(r *rawArchive) {
		for range 40 {
			r.pax("comment", strings.Repeat("c", 900<<10))
			r.entry(tar.TypeReg, "f", 0, nil)
		}
	}, guestpull.ErrNoRoom, "17 MiB of headers that it may take"},
	"headers of no entry": {func(r *rawArchive) {
		for range 40 {
			r.pax("comment", strings.Repeat("c", 900<<10))
		}
	}, guestpull.ErrNoRoom, "17 MiB of headers that it may take"},
	"long names of no entry": {func(r *rawArchive) {
		for range 40 {
			r.entry(tar.TypeGNULongName, "l", 900<<10, bytes.Repeat([]byte("n"), 900<<10))
		}
	}, guestpull.ErrNoRoom, "17 MiB of headers that it may take"},
	"contents of what has none": {func(r *rawArchive) {
		r.entry(tar.TypeReg, ".wh.f", 20*mib, make([]byte, 20*mib))
	}, guestpull.ErrNoRoom, "more than the 1.0 MiB that it may take: 20 MiB or more"},
	"an end without end":      {func(r *rawArchive) { r.Write(make([]byte, 20*mib)) }, guestpull.ErrNoRoom, "17 MiB of headers that it may take"},
	"a size of 2^60":          {func(r *rawArchive) { r.entry(tar.TypeReg, "f", 1<<60, nil) }, guestpull.ErrNoRoom, "1.0 EiB or more"},
	"a size of 2^63-1":        {func(r *rawArchive) { r.entry(tar.TypeReg, "f", 1<<63-1, nil) }, guestpull.ErrNoRoom, "EiB or more"},
	"a sparse size of 2^63-1": {func(r *rawArchive) { r.sparse("f", 1<<63-1) }, guestpull.ErrNoRoom, "EiB or more"},
}

// oldSparse adds a sparse file as GNU tar once wrote them.
func (r *rawArchive) oldSparse(name string, size int64) {
	at := r.Len()
	r.entry(tar.TypeGNUSparse, name, 0, nil)
	h := r.Bytes()[at:]
	copy(h[257:], "ustar  \x00")
	copy(h[386:], fmt.Sprintf("%011o\x00%011o\x00", size, 0))
	copy(h[483:], fmt.Sprintf("%011o\x00", size))
	copy(h[148:], "        ")
	sum := 0
	for _, b := range h[:512] {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// An image that is allowed 1 MiB takes no more, whatever is in it; the error says
// how much was found, and which option allows more.
func TestBudgets(t *testing.T) {
	kernel(t)
	store := newTmpfs(t, "size=64m")
	for name, g := range greedy {
		for _, kind := range []string{"gzip", "zstd"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				image := pushSqueezed(t, newRegistry(t, t.TempDir()), kind, archived(g.write))
				began := cpuTime(t)
				_, used, err := guestpull.New(store, guestpull.Options{MaxBytes: mib}).PullCounting(t.Context(), image)
				took := cpuTime(t) - began
				t.Logf("%v for %d bytes: %v", took, used.Read, err)
				require.ErrorIs(t, err, g.kind)
				require.ErrorContains(t, err, g.says)
				e := new(storage.Error)
				require.ErrorAs(t, err, &e)
				require.Contains(t, e.Hint, "Options.MaxBytes")
				require.LessOrEqual(t, took, mostTime(used.Read))
				nothingLeft(t, store)
			})
		}
	}
}

// cpuTime is the processor's time that this process has taken.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What is accepted takes no more of a real filesystem than was allowed.
func TestMaxBytesIsAPromise(t *testing.T) {
	kernel(t)
	store := newStore(t, 512*mib)
	reg := newRegistry(t, t.TempDir())
	const allowed = 3 * mib
	layers := map[string]func(n int) []byte{
		"files": func(n int) []byte {
			return archived(func(r *rawArchive) {
				for i := range n {
					r.entry(tar.TypeReg, fmt.Sprint(i), int64(i), make([]byte, i))
				}
			})
		},
		"directories": func(n int) []byte {
			return archived(func(r *rawArchive) {
				for i := range n {
					r.entry(tar.TypeDir, fmt.Sprint(i), 0, nil)
				}
			})
		},
		"names": func(n int) []byte {
			return archived(func(r *rawArchive) {
				for i := range n {
					r.pax("path", fmt.Sprintf("%0200d", i))
					r.entry(tar.TypeReg, "", 0, nil)
				}
			})
		},
		"links": func(n int) []byte {
			return archived(func(r *rawArchive) {
				for i := range n {
					r.pax("linkpath", strings.Repeat("t", 61))
					r.entry(tar.TypeSymlink, fmt.Sprint(i), 0, nil)
				}
			})
		},
		"attributes": func(n int) []byte {
			return archived(func(r *rawArchive) {
				for i := range n {
					r.pax("SCHILY.xattr.user.x", fmt.Sprintf("%0500d", i))
					r.entry(tar.TypeReg, fmt.Sprint(i), 0, nil)
				}
			})
		},
		"sparse files": func(n int) []byte {
			return archived(func(r *rawArchive) {
				for i := range n {
					r.sparse(fmt.Sprint(i), int64(i*100))
				}
			})
		},
	}
	images := guestpull.New(store, guestpull.Options{MaxBytes: allowed})
	for name, layer := range layers {
		t.Run(name, func(t *testing.T) {
			accepted := 0
			for n := 150; ; n *= 2 {
				_, err := images.Pull(t.Context(), pushSqueezed(t, reg, "gzip", layer(n)), guestpull.PullOptions{})
				if err != nil {
					require.ErrorIs(t, err, guestpull.ErrNoRoom)
					break
				}
				accepted = n
				require.LessOrEqual(t, usage(filepath.Join(store, "layers")), int64(allowed), "%d %s", n, name)
				require.NoError(t, images.Prune(t.Context()))
			}
			require.Positive(t, accepted)
			t.Logf("%d and more", accepted)
		})
	}
}

// Compressed data that unpacks to nothing is not read to its end.
func TestDataThatUnpacksToNothing(t *testing.T) {
	kernel(t)
	store := newTmpfs(t, "size=24m")
	member := squeezed(t, "gzip", nil)
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0} // and an empty block
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0x10, 0, 0}, make([]byte, 4096)...)
	for name, c := range map[string][2][]byte{
		"gzip members":          {member, member},
		"gzip after an archive": {squeezed(t, "gzip", make([]byte, 1024)), member},
		"zstd frames":           {frame, frame},
		"zstd skippable":        {skippable, skippable},
		"zstd small skippable":  {frame, skippable[:4:4]},
	} {
		t.Run(name, func(t *testing.T) {
			piece := c[1]
			if len(piece) == 4 {
				piece = append(piece, 0, 0, 0, 0)
			}
			blob := append(bytes.Clone(c[0]), bytes.Repeat(piece, 64*mib/len(piece))...)
			reg := newRegistry(t, t.TempDir())
			image := oneLayer(t, reg, blob, digest.FromString("not it"))
			sent := countsBytes(reg, digest.FromBytes(blob), bytes.NewReader(blob))
			began := cpuTime(t)
			_, err := guestpull.New(store, guestpull.Options{MaxBytes: gib}).Pull(t.Context(), image, guestpull.PullOptions{})
			t.Log(err, cpuTime(t)-began)
			require.ErrorIs(t, err, guestpull.ErrRejected)
			require.ErrorContains(t, err, "unpacks to nothing")
			require.Less(t, sent.Load(), int64(32*mib))
			require.Less(t, cpuTime(t)-began, 5*time.Second)
			nothingLeft(t, store)
		})
	}
}

// countsBytes lets a registry answer for a blob with what r has, and counts it.
func countsBytes(reg *testRegistry, d digest.Digest, r io.Reader) *atomic.Int64 {
	sent := new(atomic.Int64)
	reg.answers(func(w http.ResponseWriter, request *http.Request) bool {
		if request.Method != http.MethodGet || !strings.HasSuffix(request.URL.Path, d.String()) {
			return false
		}
		for piece := make([]byte, 64<<10); ; {
			n, err := r.Read(piece)
			m, writeErr := w.Write(piece[:n])
			sent.Add(int64(m))
			if err != nil || writeErr != nil {
				return true
			}
		}
	})
	return sent
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// After a rejection a little more is read, to tell a layer that was changed on the
// way from one that was made so.
func TestReadingOnIsBounded(t *testing.T) {
	kernel(t)
	store := newTmpfs(t, "size=24m")
	reg := newRegistry(t, t.TempDir())
	bad := archived(func(r *rawArchive) { r.entry('Z', "x", 0, nil) })
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("other"), Size: gib}
	image, _ := reg.push(t, "app:1", testImage{Layers: []ocispec.Descriptor{d}, DiffIDs: []digest.Digest{d.Digest}})
	sent := countsBytes(reg, d.Digest, io.MultiReader(bytes.NewReader(bad), endless{}))
	_, err := guestpull.New(store, guestpull.Options{MaxBytes: 4 * gib}).Pull(t.Context(), image, guestpull.PullOptions{})
	require.ErrorIs(t, err, guestpull.ErrRejected)
	require.ErrorContains(t, err, "unknown type")
	require.Less(t, sent.Load(), int64(32*mib))
}

// A layer that is larger than all that the image may take is not asked for.
func TestLayersOfAnySize(t *testing.T) {
	kernel(t)
	store := newTmpfs(t, "size=24m")
	reg := newRegistry(t, t.TempDir())
	for _, size := range []int64{1 << 60, 1<<63 - 1, 100 * mib} {
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString(fmt.Sprint(size)), Size: size}
		image, _ := reg.push(t, "app:1", testImage{Layers: []ocispec.Descriptor{d}, DiffIDs: []digest.Digest{d.Digest}})
		_, err := guestpull.New(store, guestpull.Options{}).Pull(t.Context(), image, guestpull.PullOptions{})
		require.ErrorIs(t, err, guestpull.ErrNoRoom)
		require.ErrorContains(t, err, "compressed layers have more than the 64 MiB that may be read")
		require.Zero(t, reg.timesAsked(d.Digest))
		nothingLeft(t, store)
	}
}

// A registry that sends a byte now and then makes no progress, whatever it is asked
// for.
func TestDrip(t *testing.T) {
	kernel(t)
	store := newTmpfs(t, "size=24m")
	for name, part := range map[string]string{"layer": "/blobs/", "manifest": "/manifests/"} {
		t.Run(name, func(t *testing.T) {
			reg := newRegistry(t, t.TempDir())
			image, _ := harmless(t, reg)
			over := make(chan struct{})
			t.Cleanup(func() { close(over) })
			reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, part) {
					return false
				}
				w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				w.Header().Set("Docker-Content-Digest", digest.FromString("x").String())
				drip(w, over, 1, 100*time.Millisecond)
				return true
			})
			began := time.Now()
			_, err := guestpull.New(store, guestpull.Options{IdleTimeout: 400 * time.Millisecond}).Pull(t.Context(), image, guestpull.PullOptions{})
			require.ErrorIs(t, err, guestpull.ErrRegistry)
			require.ErrorContains(t, err, "less than 1.0 KiB a second")
			require.Less(t, time.Since(began), 20*time.Second)
			nothingLeft(t, store)
		})
	}
}

// drip sends so many bytes at a time.
func drip(w http.ResponseWriter, over chan struct{}, bytes int, pause time.Duration) {
	w.WriteHeader(http.StatusOK)
	for {
		if _, err := w.Write(make([]byte, bytes)); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-over:
			return
		case <-time.After(pause):
		}
	}
}
