package guestpull_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// tenThousand writes as many entries.
func tenThousand(write func(r *rawArchive, i int)) []byte {
	return archived(func(r *rawArchive) {
		for i := range 10_000 {
			write(r, i)
		}
	})
}

func long(i int) string { return fmt.Sprintf("%0200d", i) }

// memoryEaters are images whose layers would have a pull keep much of what it read,
// and what is said of those that are refused for it.
func memoryEaters() map[string]struct {
	layers [][]byte
	says   string
} {
	file := archived(func(r *rawArchive) { r.entry(tar.TypeReg, "f", 0, nil) })
	return map[string]struct {
		layers [][]byte
		says   string
	}{
		"headers of programs with powers": {[][]byte{file, tenThousand(func(r *rawArchive, i int) {
			r.pax("comment", strings.Repeat("c", 10_000), "SCHILY.xattr.security.capability", capability)
			(&header{kind: tar.TypeReg, name: fmt.Sprint(i), mode: 0o4755}).to(r)
		})}, ""},
		"names that are removed again": {[][]byte{file, tenThousand(func(r *rawArchive, i int) {
			r.pax("path", "d/"+long(i)+"/f")
			r.entry(tar.TypeReg, "", 0, nil)
			r.pax("path", "d/.wh."+long(i))
			r.entry(tar.TypeReg, "", 0, nil)
		})}, ""},
		"links of programs below": {[][]byte{file, tenThousand(func(r *rawArchive, i int) {
			r.pax("path", long(i))
			(&header{kind: tar.TypeLink, link: "f"}).to(r)
		})}, ""},
		"whiteouts in many directories": {[][]byte{file, archived(func(r *rawArchive) {
			for i := range 40_000 { // the first of them are enough for the bound
				in := fmt.Sprintf("%0240d", i)
				r.pax("path", in+"/"+in+"/"+in+"/.wh.x")
				r.entry(tar.TypeReg, "", 0, nil)
			}
		})}, "more than 4.0 MiB of memory"},
		"three layers at once": {[][]byte{powerful(1), powerful(2), powerful(3)}, ""},
	}
}

// powerful is a layer of programs in directories that it has no entries for.
func powerful(n int) []byte {
	return archived(func(r *rawArchive) {
		for i := range 3000 {
			r.pax("path", fmt.Sprintf("%d/%d/f", n, i), "comment", strings.Repeat("c", 1000))
			(&header{kind: tar.TypeReg, mode: 0o6755}).to(r)
		}
	})
}

// A pull takes no more than 64 MiB of memory, with all that the process has, whatever
// the layers and documents of an image have.
func TestMemoryOfAPull(t *testing.T) {
	kernel(t)
	for name, c := range memoryEaters() {
		t.Run(name, func(t *testing.T) {
			reg := newRegistry(t, t.TempDir())
			image := testImage{}
			for _, a := range c.layers {
				image.Layers = append(image.Layers, reg.blob(t, ocispec.MediaTypeImageLayerGzip, squeezed(t, "gzip", a)))
				image.DiffIDs = append(image.DiffIDs, digest.FromBytes(a))
			}
			image.Config = padded(encode(t, ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: image.DiffIDs}}))
			pushed, _ := reg.push(t, "app:1", image)
			memory, err := memoryOf(t, newTmpfs(t, "size=900m"), pushed)
			t.Log(memory/mib, "MiB ", err)
			if c.says == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.says)
			}
			require.LessOrEqual(t, memory, int64(mostMemory))
		})
	}
}

// padded is a document that is as long as one may be.
func padded(text []byte) []byte {
	return append(bytes.TrimSuffix(text, []byte("}")), append(bytes.Repeat([]byte(" "), 4*mib-len(text)), '}')...)
}

// memoryOf pulls in a process of its own, without a bundle.
func memoryOf(t *testing.T, store, image string) (memory int64, err error) {
	t.Helper()
	var in, out bytes.Buffer
	require.NoError(t, json.NewEncoder(&in).Encode(order{Name: image}))
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), campaignVariable+"="+store)
	c.Stdin, c.Stdout, c.Stderr = &in, &out, os.Stderr
	require.NoError(t, c.Run())
	var a answer
	require.NoError(t, json.NewDecoder(&out).Decode(&a))
	if a.Kind != "" {
		err = fmt.Errorf("%s: %s", a.Kind, a.Says)
	}
	return a.Memory, err
}

// slowNames are layers of a few hundred bytes, compressed, whose names cost much to
// whoever follows them.
func slowNames() map[string][]byte {
	deep := strings.Repeat("d/", 450_000)
	through := func(n int, name string) []byte {
		return archived(func(r *rawArchive) {
			(&header{kind: tar.TypeSymlink, name: "l", link: "."}).to(r)
			for i := range n {
				r.pax("path", fmt.Sprint("l/", strings.Repeat(name, 1000), "x", i, "/f"))
				r.entry(tar.TypeReg, "", 0, nil)
			}
		})
	}
	return map[string][]byte{
		"a name of 900 kB": archived(func(r *rawArchive) { r.pax("path", deep); r.entry(tar.TypeReg, "", 0, nil) }),
		"a long name of the old form": archived(func(r *rawArchive) {
			r.entry(tar.TypeGNULongName, "l", int64(len(deep)), []byte(deep))
			r.entry(tar.TypeReg, "", 0, nil)
		}),
		"a hard link to it":             archived(func(r *rawArchive) { r.pax("linkpath", deep); r.entry(tar.TypeLink, "l", 0, nil) }),
		"a whiteout there":              archived(func(r *rawArchive) { r.pax("path", deep+".wh.x"); r.entry(tar.TypeReg, "", 0, nil) }),
		"names through a symbolic link": through(1000, "d/"),
		"the root again and again":      archived(func(r *rawArchive) { r.pax("path", strings.Repeat("../", 1000)+"x"); r.entry(tar.TypeReg, "", 0, nil) }),
		"up and down": archived(func(r *rawArchive) {
			r.pax("path", strings.Repeat("a/../", 180_000)+"x")
			r.entry(tar.TypeReg, "", 0, nil)
		}),
	}
}

// Names cost as much as they are long, and no more than the layer is worth: a
// second for each MiB, and five for tiny ones.
func TestNamesCostLittle(t *testing.T) {
	kernel(t)
	reg, store := newRegistry(t, t.TempDir()), newTmpfs(t, "size=64m")
	for name, layer := range slowNames() {
		t.Run(name, func(t *testing.T) {
			image := pushSqueezed(t, reg, "zstd", layer)
			began := cpuTime(t)
			_, used, err := guestpull.New(store, guestpull.Options{}).PullCounting(t.Context(), image)
			took := cpuTime(t) - began
			t.Logf("%v for %d bytes: %.300v", took, used.Read, err)
			require.ErrorIs(t, err, guestpull.ErrRejected)
			require.LessOrEqual(t, took, mostTime(used.Read))
			nothingLeft(t, store)
		})
	}
}

// A pull that is given up while it works on names, and reads nothing, ends.
func TestGivenUpBetweenNames(t *testing.T) {
	kernel(t)
	reg, store := newRegistry(t, t.TempDir()), newTmpfs(t, "size=64m")
	layer := archived(func(r *rawArchive) {
		for i := range 20_000 {
			r.pax("path", fmt.Sprint(strings.Repeat("d/", 200), i))
			r.entry(tar.TypeReg, "", 0, nil)
		}
	})
	image := pushSqueezed(t, reg, "zstd", layer)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Duration(0)
	_, err := guestpull.New(store, guestpull.Options{}).Pull(ctx, image, guestpull.PullOptions{Progress: func(p guestpull.Progress) {
		if p.State == guestpull.LayerPulling && began == 0 { // all of the layer fits into one read
			began = cpuTime(t)
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.LessOrEqual(t, cpuTime(t)-began, mostTime(0))
	nothingLeft(t, store)
}

// A registry that sends a layer, but hardly, does not hold up another image that
// begins with that layer, from a registry that sends it: and the first one has it
// then, too.
func TestDrippingRegistryStallsNobody(t *testing.T) {
	kernel(t)
	store := newTmpfs(t, "size=64m")
	images := guestpull.New(store, guestpull.Options{IdleTimeout: 3 * time.Second})
	slow, quick := newRegistry(t, t.TempDir()), newRegistry(t, t.TempDir())
	name, image := harmless(t, slow)
	other, _ := harmless(t, quick)
	over, asked := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(over) })
	begins := sync.OnceFunc(func() { close(asked) })
	slow.answersBlob(image.Layers[0].Digest, func(w http.ResponseWriter, _ []byte) {
		begins()
		drip(w, over, 4096, 100*time.Millisecond) // zeros without an end, and none would come
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first := make(chan error, 1)
	go func() {
		_, err := images.Pull(ctx, name, guestpull.PullOptions{})
		first <- err
	}()
	<-asked
	_, err := images.Pull(ctx, other, guestpull.PullOptions{})
	require.NoError(t, err)
	require.NoError(t, <-first)
}
