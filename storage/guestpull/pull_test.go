package guestpull_test

import (
	"archive/tar"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// An image with one of everything, of more layers than fit into the options of a
// mount with their paths, is on the store what it was.
func TestPull(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	b := newImage(t, reg)
	b.layer(func(l *layerBuilder) {
		l.write(tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o711, Uid: 1, Gid: 2}, nil)
		l.oddities("odd")
		l.fill("data", 1, 600, 8*mib)
		l.fill("gone", 2, 30, mib)
		l.fill("opaque", 3, 30, mib)
		l.write(tar.Header{Name: "passed/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 3, Gid: 4,
			PAXRecords: map[string]string{"SCHILY.xattr.user.dir": "below"}}, nil)
		l.file("passed/one", "1")
	})
	b.tree["."] = &treeNode{"d 711 1:2"}
	b.layer(func(l *layerBuilder) {
		l.whiteout("gone")
		l.whiteout("data/1/150")
		l.dir("opaque")
		l.opaque("opaque")
		l.file("opaque/new", "only this is left")
		l.file("passed/two", "no entry of its own directory")
	})
	for i := range 100 {
		b.layer(func(l *layerBuilder) {
			l.dir("layers")
			l.fill(fmt.Sprintf("layers/%d", i), uint64(i), 20, 512<<10)
			l.file("layers/last", fmt.Sprint(i))
		})
	}
	name, d := reg.push(t, "large/app:1", b.image)

	store := newStore(t, 256*mib)
	var received []uint64
	var failed []bool
	images := guestpull.New(store, guestpull.Options{Pulled: func(took time.Duration, n uint64, err error) {
		require.Positive(t, took)
		received, failed = append(received, n), append(failed, err != nil)
	}})
	bundle := newBundle(t, images)
	var progress progressLog
	image, err := images.Pull(t.Context(), name, guestpull.PullOptions{Bundle: bundle, Progress: progress.add})
	require.NoError(t, err)
	require.Equal(t, d, image.Digest)
	var size uint64
	for _, layer := range b.image.Layers {
		size += uint64(layer.Size)
	}
	require.Equal(t, []uint64{size}, received)
	require.Equal(t, filepath.Join(bundle, "rootfs"), image.RootFS)
	requireTree(t, b.tree, readTree(t, image.RootFS))
	progress.requireWhole(t, b.image)
	t.Logf("%d names, %d layers, %+v", len(b.tree), len(image.Layers), image.Timing)

	require.NoError(t, os.WriteFile(filepath.Join(image.RootFS, "odd", "written"), []byte("by the container"), 0o600))
	uppers, err := filepath.Glob(filepath.Join(store, "overlay", "*", "upperdir", "odd", "written"))
	require.NoError(t, err)
	require.Len(t, uppers, 1)

	_, err = images.Pull(t.Context(), name, guestpull.PullOptions{Bundle: bundle})
	require.ErrorIs(t, err, storage.ErrBusy)
	require.Equal(t, []uint64{size, 0}, received)
	require.Equal(t, []bool{false, true}, failed)
	require.ErrorIs(t, images.Remove(t.Context(), name), storage.ErrBusy)
	open, err := os.Open(filepath.Join(image.RootFS, "odd"))
	require.NoError(t, err)
	require.ErrorIs(t, images.Release(t.Context(), bundle), storage.ErrBusy)
	require.NoError(t, open.Close())
	require.NoError(t, images.Release(t.Context(), bundle))
	require.NoError(t, images.Release(t.Context(), bundle))
	require.NoDirExists(t, image.RootFS)
	require.NoError(t, images.Remove(t.Context(), name))
	require.ErrorIs(t, images.Remove(t.Context(), name), guestpull.ErrNoSuchImage)
	require.NoError(t, os.Remove(filepath.Join(store, "images.json")))
	nothingLeft(t, store)
}

// A directory that a layer only passes through does not look like one that was
// removed, or hidden, below.
func TestDirectoriesThatWereRemoved(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	b := newImage(t, reg)
	below := func(l *layerBuilder, dir string) {
		l.write(tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o700}, nil)
		l.write(tar.Header{Name: dir + "/sub/", Typeflag: tar.TypeDir, Mode: 0o700}, nil)
	}
	b.layer(func(l *layerBuilder) { below(l, "removed"); below(l, "opaque"); below(l, "kept") })
	b.layer(func(l *layerBuilder) { l.whiteout("removed"); l.dir("opaque"); l.opaque("opaque") })
	b.layer(func(l *layerBuilder) {
		for _, dir := range []string{"removed", "opaque", "kept"} {
			l.file(dir+"/sub/file", "text")
		}
	})
	name, _ := reg.push(t, "app:1", b.image)
	images := guestpull.New(newStore(t, 64*mib), guestpull.Options{})
	image, err := images.Pull(t.Context(), name, guestpull.PullOptions{Bundle: newBundle(t, images)})
	require.NoError(t, err)
	for dir, mode := range map[string]os.FileMode{"removed/sub": 0o755, "opaque/sub": 0o755, "kept/sub": 0o700} {
		info, err := os.Stat(filepath.Join(image.RootFS, dir))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), dir)
	}
}

// A program keeps its capabilities and its setuid bit, however many names it has.
func TestPowersOfHardLinks(t *testing.T) {
	kernel(t)
	const value = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	reg := newRegistry(t, t.TempDir())
	b := newImage(t, reg)
	b.layer(func(l *layerBuilder) {
		l.write(tar.Header{Name: "ping", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 1, Gid: 2, Size: 4,
			PAXRecords: map[string]string{"SCHILY.xattr.security.capability": value}}, strings.NewReader("ping"))
		l.write(tar.Header{Name: "ping4", Typeflag: tar.TypeLink, Linkname: "ping", Mode: 0o644}, nil)
		l.write(tar.Header{Name: "ping6", Typeflag: tar.TypeLink, Linkname: "./ping4"}, nil)
	})
	name, _ := reg.push(t, "app:1", b.image)
	images := guestpull.New(newStore(t, 64*mib), guestpull.Options{})
	image, err := images.Pull(t.Context(), name, guestpull.PullOptions{Bundle: newBundle(t, images)})
	require.NoError(t, err)
	for _, program := range []string{"ping", "ping4", "ping6"} {
		path := filepath.Join(image.RootFS, program)
		require.Equal(t, map[string]string{"security.capability": value}, attributes(t, path), program)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.ModeSetuid|0o755, info.Mode(), program)
	}
}

// progressLog is what a pull told of its layers.
type progressLog struct {
	mu   sync.Mutex
	last map[int]guestpull.Progress
}

func (l *progressLog) add(p guestpull.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[int]guestpull.Progress{}
	}
	l.last[p.Number] = p
}

func (l *progressLog) requireWhole(t *testing.T, image testImage) {
	t.Helper()
	require.Len(t, l.last, len(image.Layers))
	for i, d := range image.Layers {
		require.Equal(t, guestpull.Progress{Number: i + 1, Of: len(image.Layers), Digest: d.Digest.String(),
			State: guestpull.LayerDone, Done: d.Size, Total: d.Size}, l.last[i+1])
	}
}

// Images share what they have in common from the lowest layer up, and keep it
// when one of them goes.
func TestLayersAreShared(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	base := newImage(t, reg).layer(func(l *layerBuilder) { l.file("base", "same") }).image
	one, other := newImage(t, reg), newImage(t, reg)
	one.image, other.image = base, testImage{Layers: base.Layers[:1:1], DiffIDs: base.DiffIDs[:1:1]}
	one.layer(func(l *layerBuilder) { l.file("one", "1") })
	other.layer(func(l *layerBuilder) { l.file("other", "2") })
	nameOne, _ := reg.push(t, "one:1", one.image)
	nameOther, _ := reg.push(t, "other:1", other.image)

	store := newTmpfs(t, "size=16m")
	a, err := guestpull.New(store, guestpull.Options{}).Pull(t.Context(), nameOne, guestpull.PullOptions{})
	require.NoError(t, err)
	images := guestpull.New(store, guestpull.Options{}) // as after a restart
	b, err := images.Pull(t.Context(), nameOther, guestpull.PullOptions{})
	require.NoError(t, err)
	require.Equal(t, a.Layers[0].Dir, b.Layers[0].Dir)
	require.True(t, b.Layers[0].Existing)
	require.Equal(t, 1, reg.timesAsked(base.Layers[0].Digest))

	require.NoError(t, images.Remove(t.Context(), nameOne))
	require.DirExists(t, filepath.Join(store, "layers", fmt.Sprint(a.Layers[0].Dir)))
	require.NoDirExists(t, filepath.Join(store, "layers", fmt.Sprint(a.Layers[1].Dir)))
	list, err := images.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, []string{nameOther}, list[0].Names)
	require.NoError(t, images.Prune(t.Context()))
	require.NoError(t, os.Remove(filepath.Join(store, "images.json")))
	nothingLeft(t, store)
}

// Many pulls at once download each layer once; another process waits.
func TestPullsAtOnce(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	b := newImage(t, reg)
	for i := range 6 {
		b.layer(func(l *layerBuilder) { l.fill(fmt.Sprint("d", i), uint64(i), 50, mib) })
	}
	name, _ := reg.push(t, "app:1", b.image)
	reg.push(t, "app:2", testImage{Layers: b.image.Layers[:4], DiffIDs: b.image.DiffIDs[:4]})

	store := newTmpfs(t, "size=64m")
	images, stranger := guestpull.New(store, guestpull.Options{}), guestpull.New(store, guestpull.Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			from := images
			if i >= 6 {
				from = stranger // another open file, as in another process
			}
			_, err := from.Pull(t.Context(), strings.TrimSuffix(name, "1")+fmt.Sprint(1+i%2), guestpull.PullOptions{})
			require.NoError(t, err)
		})
	}
	wg.Wait()
	for _, l := range b.image.Layers {
		require.Equal(t, 1, reg.timesAsked(l.Digest))
	}
	layers, err := filepath.Glob(filepath.Join(store, "layers", "*"))
	require.NoError(t, err)
	require.Len(t, layers, 6)
}

// An image for several platforms, and a name with a digest.
func TestPlatformsAndDigests(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	_, amd := reg.push(t, "app:amd", newImage(t, reg).layer(func(l *layerBuilder) { l.file("cpu", "amd64") }).image)
	_, arm := reg.push(t, "app:arm", newImage(t, reg).layer(func(l *layerBuilder) { l.file("cpu", "arm64") }).image)
	reg.pushIndex(t, "app:all", map[string]string{"amd64": amd.String(), "arm64": arm.String()})
	store := newTmpfs(t, "size=16m")

	for platform, want := range map[string]string{"linux/amd64": amd.String(), "linux/arm64": arm.String()} {
		image, err := guestpull.New(store, guestpull.Options{Platform: platform}).Pull(t.Context(), reg.host+"/app:all", guestpull.PullOptions{})
		require.NoError(t, err)
		require.Equal(t, want, image.Digest.String())
	}
	_, err := guestpull.New(store, guestpull.Options{Platform: "linux/s390x"}).Pull(t.Context(), reg.host+"/app:all", guestpull.PullOptions{})
	require.ErrorIs(t, err, guestpull.ErrNoSuchImage)
	require.ErrorContains(t, err, "only for linux/a")
	image, err := guestpull.New(store, guestpull.Options{}).Pull(t.Context(), reg.host+"/app@"+arm.String(), guestpull.PullOptions{})
	require.NoError(t, err)
	require.Equal(t, arm, image.Digest)
}

// Credentials come from a docker config; without them the error says so.
func TestCredentials(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	name, _ := reg.push(t, "private/app:1", newImage(t, reg).layer(func(l *layerBuilder) { l.file("secret", "1") }).image)
	reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "me" && password == "of a test" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	store := newTmpfs(t, "size=16m")
	_, err := guestpull.New(store, guestpull.Options{}).Pull(t.Context(), name, guestpull.PullOptions{})
	require.ErrorIs(t, err, guestpull.ErrUnauthorized)
	nothingLeft(t, store)

	config := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(config, encode(t, map[string]any{"auths": map[string]any{
		reg.host: map[string]string{"auth": "bWU6b2YgYSB0ZXN0"}}}), 0o600))
	_, err = guestpull.New(store, guestpull.Options{AuthFile: config}).Pull(t.Context(), name, guestpull.PullOptions{})
	require.NoError(t, err)
}
