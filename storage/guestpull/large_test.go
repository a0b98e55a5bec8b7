package guestpull_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// The how-to's image: 2.15 GB on a device of 2500 MiB.
const (
	largeBytes  = 2_150_000_000
	largeFiles  = 100_000
	largeLayers = 40
	largeDevice = 2500 * mib
	// largeMemory is what a process that pulls may use, page cache aside.
	largeMemory = 128 * mib
)

// The image that this project is for, whole: it is on the store what it was, a
// small process brought it there, and it does not fit into the guest's memory. In
// a guest with more memory it does, which is what the store is compared with.
// Its figures are in docs/pull-performance.md.
func TestLargeImage(t *testing.T) {
	kernel(t)
	if os.Getenv("TRUSTED_STORE_SOAK") == "" {
		t.Skip("takes minutes and disks of 16 GiB: TRUSTED_STORE_SOAK=1")
	}
	large := makeLarge(t)
	store := large.newStore(t)
	written := sequentialWrite(t, store, largeBytes)
	t.Logf("%d bytes in one file: %v", int64(largeBytes), written.Round(time.Millisecond))

	onStore := large.pull(t, store)
	require.NoError(t, onStore.err)
	t.Logf("the image onto the store: %v", onStore)
	require.LessOrEqual(t, onStore.memory, int64(largeMemory))
	requireTree(t, large.tree, readTree(t, onStore.image.RootFS))
	require.NoError(t, guestpull.New(store, guestpull.Options{}).Release(t.Context(), large.bundle))

	memory := newTmpfs(t, "mode=755") // half of the memory, as a guest's /run
	inMemory := large.pull(t, memory)
	if guestMemory(t) < 4*gib {
		require.Error(t, inMemory.err)
		require.Regexp(t, "no space left on device|unpacks to more than the", inMemory.err.Error())
		t.Logf("the image into memory: %v", inMemory.err)
		return
	}
	require.NoError(t, inMemory.err)
	require.NoError(t, guestpull.New(memory, guestpull.Options{}).Release(t.Context(), large.bundle))
	t.Logf("the image into memory: %v", inMemory)
	t.Logf("pull / max(memory, write) = %.2f", onStore.took.Seconds()/max(inMemory.took, written).Seconds())
}

// A tenth of that image, on several CPUs. Where the disk is slower than unpacking
// is, it is the disk that a pull waits for, and little else: the registry is in
// memory, so that -throttle slows nothing but the store.
func TestPullKeepsTheDiskBusyCPUs(t *testing.T) {
	kernel(t)
	if os.Getenv("TRUSTED_STORE_SOAK") == "" {
		t.Skip("takes minutes on a slow disk: TRUSTED_STORE_SOAK=1, go tool guest -bed qemu -mem 4G -disk 2500M -throttle 3M")
	}
	l := makeImage(t, t.TempDir(), largeLayers/10)
	l.disk = smallDisk(t)
	store := l.newStore(t)
	written := sequentialWrite(t, store, largeBytes/10)
	onStore, inMemory := l.pullAndRelease(t, store), l.pullAndRelease(t, newTmpfs(t, "mode=755"))
	ratio := onStore.took.Seconds() / max(inMemory.took, written).Seconds()
	t.Logf("%d bytes in one file: %v\nonto the store: %v\ninto memory: %v\nratio %.2f", largeBytes/10, written.Round(time.Millisecond), onStore, inMemory, ratio)
	if 2*written > 3*inMemory.took {
		require.LessOrEqual(t, ratio, 1.15)
	}
}

// smallDisk is the bed's first raw disk if it is a small one, as what is grown to
// its full size here has to be; else a new one in memory.
func smallDisk(t *testing.T) string {
	t.Helper()
	path, _, _ := strings.Cut(os.Getenv("TRUSTED_STORE_DISKS"), ":")
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		if size, err := f.Seek(0, io.SeekEnd); err == nil && size <= 2*largeDevice {
			return path
		}
	}
	return storagetest.Disk(t, 512*mib)
}

// pullAndRelease pulls into a store, and unmounts.
func (l *largeImage) pullAndRelease(t *testing.T, store string) onePull {
	t.Helper()
	p := l.pull(t, store)
	require.NoError(t, p.err)
	require.NoError(t, guestpull.New(store, guestpull.Options{}).Release(t.Context(), l.bundle))
	return p
}

// largeImage is the image in a registry on this machine.
type largeImage struct {
	name, bundle string
	disk         string // for the store
	tree         tree
}

// makeLarge makes the image on a disk of the guest, so that it takes no memory.
// The store gets a raw disk of its own if there are two, else a file there.
func makeLarge(t *testing.T) *largeImage {
	t.Helper()
	disks := filepath.SplitList(os.Getenv("TRUSTED_STORE_DISKS"))
	require.NotEmpty(t, disks, "go tool guest -disk 2500M,16G")
	dir := t.TempDir()
	tool(t, "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", disks[len(disks)-1], "16G")
	require.NoError(t, unix.Mount(disks[len(disks)-1], dir, "ext4", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	disk := disks[0]
	if len(disks) == 1 {
		file := filepath.Join(dir, "disk.img")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		require.NoError(t, os.Truncate(file, largeDevice))
		disk = storagetest.Attach(t, file, storagetest.DiskOptions{})
	}
	l := makeImage(t, dir, largeLayers)
	l.disk = disk
	return l
}

// makeImage makes so many layers of the large image in a registry, whose files
// are in dir.
func makeImage(t *testing.T, dir string, layers int) *largeImage {
	t.Helper()
	l := &largeImage{bundle: filepath.Join(t.TempDir(), "bundle")}
	reg := newRegistry(t, dir)
	reg.servesFiles()
	b := newImage(t, reg)
	for i := range layers {
		kind := "gzip"
		if i%5 == 4 {
			kind = "zstd"
		}
		b.compressedLayer(kind, func(w *layerBuilder) { largeLayer(w, i) })
	}
	l.name, _ = reg.push(t, "large:v1", b.image)
	l.tree = b.tree
	return l
}

func largeLayer(w *layerBuilder, i int) {
	w.fill(fmt.Sprintf("layer%d", i), uint64(i), largeFiles/largeLayers, largeBytes/largeLayers)
	w.oddities("odd")
	if i > 0 {
		w.whiteout(fmt.Sprintf("layer%d/3", i-1))
	}
}

// servesFiles lets the registry send its files as they are; by itself it hashes
// each first, which would be measured, too.
func (reg *testRegistry) servesFiles() {
	reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
		_, hex, isBlob := strings.Cut(r.URL.Path, "/blobs/sha256:")
		if isBlob && r.Method == http.MethodGet {
			http.ServeFile(w, r, filepath.Join(reg.blobs, "sha256", hex))
		}
		return isBlob && r.Method == http.MethodGet
	})
}

// newStore makes the store with all that the agent asks for, grown to its full
// size.
func (l *largeImage) newStore(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	s, err := storage.Create(t.Context(), l.disk, storage.CreateOptions{MountPoint: dir, Grow: storage.GrowLater})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, storage.Grow(t.Context(), s.Name(), storage.GrowOptions{Follow: true}))
	return dir
}

// sequentialWrite says how long bytes take into one file, until they are on the
// disk.
func sequentialWrite(t *testing.T, dir string, size int64) time.Duration {
	t.Helper()
	dropCaches(t)
	block := make([]byte, mib)
	began := time.Now()
	f, err := os.Create(filepath.Join(dir, "sequential"))
	require.NoError(t, err)
	for ; size > 0; size -= int64(len(block)) {
		_, err := f.Write(block[:min(size, int64(len(block)))])
		require.NoError(t, err)
	}
	require.NoError(t, f.Sync())
	took := time.Since(began)
	require.NoError(t, f.Close())
	require.NoError(t, os.Remove(f.Name()))
	return took
}

// onePull is how one pull by a process of its own went.
type onePull struct {
	took, cpu time.Duration
	memory    int64 // the most that the process had resident
	image     guestpull.Image
	err       error
}

func (p onePull) String() string {
	const ms = time.Millisecond
	t := p.image.Timing
	return fmt.Sprintf("%v, of this process's CPU %v; its layers, %d at a time, waited for: network %v, decompression and hashes %v, writing %v; at most %d MiB",
		p.took.Round(ms), p.cpu.Round(ms), 3, t.Network.Round(ms), t.Decompress.Round(ms), t.Write.Round(ms), p.memory/mib)
}

func (l *largeImage) pull(t *testing.T, store string) (p onePull) {
	t.Helper()
	dropCaches(t)
	var out, errOut bytes.Buffer
	c := exec.Command("/proc/self/exe", l.name, l.bundle)
	c.Env = append(os.Environ(), pullerVariable+"="+store)
	c.Stdout, c.Stderr = &out, &errOut
	began := time.Now()
	if c.Run() != nil {
		return onePull{err: fmt.Errorf("%s", &errOut)}
	}
	p.took = time.Since(began)
	p.cpu = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	var said pulled
	require.NoError(t, json.Unmarshal(out.Bytes(), &said))
	p.image, p.memory = said.Image, said.Memory
	return p
}

func dropCaches(t *testing.T) {
	t.Helper()
	unix.Sync()
	require.NoError(t, os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0))
}

func guestMemory(t *testing.T) uint64 {
	t.Helper()
	var info unix.Sysinfo_t
	require.NoError(t, unix.Sysinfo(&info))
	return uint64(info.Totalram) * uint64(info.Unit)
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), out)
}
