package guestpull_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const (
	// campaignVariable makes this program a process that pulls what it is told, one
	// image after the other, into the store it names.
	campaignVariable = "TRUSTED_STORE_TEST_CAMPAIGN"
	// tinyTime is what a layer of next to nothing may take of a processor, beside a
	// second for each MiB.
	tinyTime = 5 * time.Second
	// mostMemory is what such a process may take, with all that is in it.
	mostMemory = 64 * mib
	// mostWait is how long a pull may hang, whatever else the machine does.
	mostWait = 5 * time.Minute
)

// mostTime is what a layer of so many bytes, not compressed, may take of a processor. An
// emulated one is some ten times slower.
func mostTime(bytes int64) time.Duration {
	most := tinyTime + time.Second*time.Duration(bytes)/mib
	if storagetest.Bed() == "qemu" {
		most *= 10
	}
	return most
}

// order is what such a process pulls, and answer what it says of it.
type order struct {
	Name     string
	MaxBytes uint64
}

type answer struct {
	Kind   string // of the error; "": there was none
	Says   string
	Full   bool // the filesystem was: the budget did not do
	Time   time.Duration
	Read   int64 // bytes of the archive
	Files  int64 // entries, whether they are still there or not
	Kept   int64 // bytes of the store
	Memory int64 // the most so far
}

func campaigner(store string) {
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			os.Exit(0)
		}
		if err := answers.Encode(o.run(store)); err != nil {
			panic(err)
		}
	}
}

func (o *order) run(store string) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), mostWait)
	defer cancel()
	images := guestpull.New(store, guestpull.Options{MaxBytes: o.MaxBytes})
	began := processTime()
	image, used, err := images.PullCounting(ctx, o.Name)
	a = answer{Time: processTime() - began, Read: used.Read, Files: used.Entries}
	if err == nil {
		top := image.Layers[len(image.Layers)-1]
		a.Kept = usage(filepath.Join(store, "layers", strconv.Itoa(top.Dir)))
		err = images.Remove(ctx, o.Name)
	}
	if a.Memory = highWaterMark(); err == nil {
		return a
	}
	a.Kind, a.Says, a.Full = "another", err.Error(), errors.Is(err, unix.ENOSPC)
	for kind, is := range map[string]error{"rejected": guestpull.ErrRejected, "no room": guestpull.ErrNoRoom} {
		if errors.Is(err, is) {
			a.Kind = kind
		}
	}
	return a
}

func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// usage is what all in a directory takes.
func usage(dir string) (bytes int64) {
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil {
		panic(err)
	}
	return bytes
}

// campaign is a store with one good image, and a process that pulls onto it.
type campaign struct {
	reg     *testRegistry
	base    testImage
	store   string
	outside []string // names of what must not be touched, as archives may call it
	before  map[string]string
	process *exec.Cmd
	orders  *json.Encoder
	answers *json.Decoder
	layer   *hostileLayer // that the registry has
}

// storeBytes and storeInodes are what the store has room for, beside the good image:
// a layer that may take a MiB, and the entries that it may have for that.
const (
	storeBytes  = 3 * mib
	storeInodes = 65_536 + 1024 + 1024
)

func newCampaign(t *testing.T) *campaign {
	dir := newTmpfs(t, "size=1m")
	c := &campaign{reg: newRegistry(t, t.TempDir()), store: filepath.Join(dir, "store")}
	for _, name := range []string{"victim", "victims/deeper"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("untouched"), 0o644))
	}
	require.NoError(t, os.Mkdir(c.store, 0o755))
	require.NoError(t, unix.Mount("tmpfs", c.store, "tmpfs", 0, fmt.Sprintf("size=%d,nr_inodes=%d", storeBytes, storeInodes)))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(c.store, 0)) })
	b := newImage(t, c.reg).layer(func(l *layerBuilder) {
		l.dir("base")
		l.file("base/file", strings.Repeat("x", 10_000))
		l.file("file", "x")
		l.oddities("a")
	})
	name, _ := c.reg.push(t, "base:1", b.image)
	_, err := guestpull.New(c.store, guestpull.Options{}).Pull(t.Context(), name, guestpull.PullOptions{})
	require.NoError(t, err)
	c.base = b.image
	for _, of := range []string{"victim", "victims", "victims/deeper", "victims/new", "store/images.json", "store/layers/0/file", "store/layers/new"} {
		full := filepath.Join(dir, of)
		c.outside = append(c.outside, full, "../../../"+of, strings.Repeat("../", 30)+full, "/proc/self/root"+full, "a/../../../../"+of)
	}
	c.outside = append(c.outside, "..", "../..", "../0", "../0/base/file", "../../images.json", "/", "/proc/self/fd/3", ".wh..", "../.wh.0", "../0/.wh.file", "../0/.wh..wh..opq")
	c.start(t)
	c.reg.answers(c.serve)
	c.before = c.look(t)
	return c
}

func (c *campaign) start(t *testing.T) {
	c.process = exec.Command("/proc/self/exe")
	c.process.Env = append(os.Environ(), campaignVariable+"="+c.store)
	c.process.Stderr = os.Stderr
	in, err := c.process.StdinPipe()
	require.NoError(t, err)
	out, err := c.process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.process.Start())
	t.Cleanup(func() {
		require.NoError(t, in.Close())
		require.NoError(t, c.process.Wait())
	})
	c.orders, c.answers = json.NewEncoder(in), json.NewDecoder(out)
}

// serve answers with the hostile layer, on top of the good one.
func (c *campaign) serve(w http.ResponseWriter, r *http.Request) bool {
	l := c.layer
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromBytes(l.blob), Size: int64(len(l.blob))}
	config, _ := json.Marshal(ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, // plain values
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: append(c.base.DiffIDs[:1:1], l.diffID)}})
	named := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
	manifest, _ := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: manifestType, Config: named, Layers: append(c.base.Layers[:1:1], d)})
	switch {
	case strings.HasSuffix(r.URL.Path, "/manifests/hostile"):
		w.Header().Set("Content-Type", manifestType)
		write(w, manifest, len(manifest))
	case strings.HasSuffix(r.URL.Path, named.Digest.String()):
		write(w, config, len(config))
	case strings.HasSuffix(r.URL.Path, d.Digest.String()):
		write(w, l.blob, len(l.blob))
	default:
		return false
	}
	return true
}

// look is all outside of the layer that was pulled, with the time of its last change.
func (c *campaign) look(t *testing.T) map[string]string {
	t.Helper()
	seen := map[string]string{}
	root := filepath.Dir(c.store)
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative := strings.TrimPrefix(name, root)
		switch relative {
		case "/store", "/store/layers": // directories in which layers and the index come and go
			seen[relative] = "there"
			return nil
		case "/store/images.json", "/store/lock":
			text, err := os.ReadFile(name)
			seen[relative] = string(text)
			if relative == "/store/images.json" {
				seen[relative] = indexWithoutNext(t, text)
			}
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		seen[relative] = fmt.Sprintf("%o %d:%d inode %d, links %d, device %d, %d bytes, changed %v", st.Mode, st.Uid, st.Gid, st.Ino, st.Nlink, st.Rdev, st.Size, st.Ctim)
		return nil
	}))
	return seen
}

// indexWithoutNext is the index but for the number that the next layer gets.
func indexWithoutNext(t *testing.T, text []byte) string {
	t.Helper()
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &all))
	delete(all, "next_layer")
	return string(encode(t, all))
}

// pull pulls the layer of a seed and looks at what came of it.
func (c *campaign) pull(t *testing.T, seed uint64) answer {
	t.Helper()
	again := fmt.Sprintf("again: TRUSTED_STORE_SEED=%d", seed)
	c.layer = newHostileLayer(t, seed, c.outside)
	require.NoError(t, c.orders.Encode(order{c.reg.host + "/app:hostile", c.layer.maxBytes}))
	var a answer
	require.NoError(t, c.answers.Decode(&a), again)
	require.Equal(t, c.before, c.look(t), "%s: %+v", again, a)
	require.Contains(t, []string{"", "rejected", "no room"}, a.Kind, "%s: %+v", again, a)
	require.False(t, a.Full, "%s: %+v", again, a)
	require.LessOrEqual(t, a.Kept, int64(c.layer.maxBytes), "%s: %+v", again, a)
	require.LessOrEqual(t, a.Files, int64(65_536+c.layer.maxBytes/1024+1), "%s: %+v", again, a)
	require.LessOrEqual(t, a.Read, int64(16*mib+c.layer.maxBytes/2+c.layer.maxBytes+mib), "%s: %+v", again, a)
	require.LessOrEqual(t, a.Time, mostTime(a.Read), "%s: %+v", again, a)
	require.Equal(t, guestpull.Fit(a.Says), a.Says, "%s: %+v", again, a)
	require.LessOrEqual(t, a.Memory, int64(mostMemory), "%s: %+v", again, a)
	return a
}

// Random hostile archives change nothing outside of their layer and exceed no bound:
// bytes written, entries, bytes read, memory, time. The seeds of the short form begin
// at a new one each time, which is printed; TRUSTED_STORE_SEED=N is one alone, and
// N-M are several. The long form has 100,000.
func TestHostileArchives(t *testing.T) {
	kernel(t)
	first, n := uint64(time.Now().UnixNano()), 150
	if os.Getenv("TRUSTED_STORE_SOAK") != "" {
		first, n = 1, 100_000
	}
	if text := os.Getenv("TRUSTED_STORE_SEED"); text != "" {
		from, to, several := strings.Cut(text, "-")
		if !several {
			to = from
		}
		last, err := strconv.ParseUint(to, 10, 64)
		require.NoError(t, err)
		first, err = strconv.ParseUint(from, 10, 64)
		require.NoError(t, err)
		n = int(last-first) + 1
	}
	t.Log("seeds from", first)
	c := newCampaign(t)
	kinds, slowest, read, memory := map[string]int{}, time.Duration(0), int64(0), int64(0)
	for seed := first; seed < first+uint64(n); seed++ {
		a := c.pull(t, seed)
		kinds[a.Kind]++
		slowest, read, memory = max(slowest, a.Time), read+a.Read, max(memory, a.Memory)
		if done := seed - first + 1; done%1000 == 0 {
			t.Log(done, kinds, slowest, memory/mib)
		}
	}
	t.Logf("%d archives: %v (no name: pulled), slowest %v of a processor, %d MiB read, %d MiB of memory", n, kinds, slowest, read/mib, memory/mib)
	if n > 1 {
		require.Len(t, kinds, 3, "the archives do not try everything")
	}
}

// A seed is one layer, whenever it is made.
func TestSeedsOfHostileArchives(t *testing.T) {
	for seed := range uint64(200) {
		one, other := newHostileLayer(t, seed, []string{"x"}), newHostileLayer(t, seed, []string{"x"})
		require.Equal(t, one, other)
	}
}
