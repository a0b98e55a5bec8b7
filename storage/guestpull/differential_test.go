package guestpull_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// Random images look, when they are mounted, as when containerd's applier unpacks
// their layers, each onto an overlay of those below; what it refuses is refused. A
// seed alone: TRUSTED_STORE_SEED=N. The long form has 500.
func TestSameAsContainerd(t *testing.T) {
	kernel(t)
	images := 50
	if os.Getenv("TRUSTED_STORE_SOAK") != "" {
		images = 500
	}
	first := uint64(1)
	if text := os.Getenv("TRUSTED_STORE_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		first, images = seed, 1
	}
	c := newComparison(t)
	refused := 0
	for seed := first; seed < first+uint64(images); seed++ {
		m := newRandomImage(seed)
		ours, theirs := c.compare(t, m)
		if strings.HasPrefix(theirs, "refused") {
			refused++
		}
		if ours != theirs {
			m = c.smallest(t, m)
			ours, theirs = c.compare(t, m)
			require.Equal(t, theirs, ours, "seed %d\n%v", seed, m)
		}
	}
	t.Logf("%d images, %d of them refused by both", images, refused)
	require.Less(t, refused, images)
}

// comparison unpacks images here and there.
type comparison struct {
	reg    *testRegistry
	images *guestpull.Images
	bundle string
	dir    string // containerd's
	began  time.Time
}

func newComparison(t *testing.T) *comparison {
	store := newStore(t, 256*mib)
	dir := filepath.Join(newStore(t, 256*mib), "containerd")
	require.NoError(t, os.Mkdir(dir, 0o755))
	images := guestpull.New(store, guestpull.Options{})
	return &comparison{reg: newRegistry(t, t.TempDir()), images: images, bundle: filepath.Join(t.TempDir(), "bundle"), dir: dir, began: time.Now()}
}

// compare returns both trees as text, or that it was refused.
func (c *comparison) compare(t *testing.T, m *randomImage) (ours, theirs string) {
	t.Helper()
	image, err := c.images.Pull(t.Context(), pushArchives(t, c.reg, m.archives(t)...), guestpull.PullOptions{Bundle: c.bundle})
	if err != nil {
		require.ErrorIs(t, err, guestpull.ErrRejected, "%v", m)
		return "refused", c.containerd(t, m, false)
	}
	ours = c.text(t, image.RootFS)
	require.NoError(t, c.images.Release(t.Context(), c.bundle))
	require.NoError(t, c.images.Prune(t.Context()))
	return ours, c.containerd(t, m, true)
}

// containerd applies each layer onto an overlay of those below, and one more is on
// top. It refuses a layer that makes a directory and removes it again, or gives the
// directory's time to what comes in its place; where that shall be forgiven, those
// directories are left out.
func (c *comparison) containerd(t *testing.T, m *randomImage, forgive bool) string {
	t.Helper()
	defer func() { require.NoError(t, os.RemoveAll(c.dir)) }()
	lower := filepath.Join(c.dir, "empty")
	require.NoError(t, os.MkdirAll(lower, 0o755))
	for _, entries := range m.layers {
		upper, lasting, err := c.apply(t, lower, entries)
		if forgive && len(lasting) < len(entries) {
			upper, _, err = c.apply(t, lower, lasting)
		}
		if err != nil {
			return "refused"
		}
		lower = upper + ":" + lower
	}
	_, merged, unmount := c.mount(t, lower)
	defer unmount()
	return c.text(t, merged)
}

// apply has containerd unpack a layer, and says which entries are left when those
// of directories that are not there in the end are not counted.
func (c *comparison) apply(t *testing.T, lower string, entries []randomEntry) (upper string, lasting []randomEntry, err error) {
	t.Helper()
	upper, merged, unmount := c.mount(t, lower)
	defer unmount()
	_, err = archive.Apply(silent(t.Context()), merged, bytes.NewReader(archiveOf(t, entries)))
	for _, e := range entries {
		info, gone := os.Lstat(filepath.Join(merged, e.Name))
		if e.Typeflag != tar.TypeDir || gone == nil && info.IsDir() {
			lasting = append(lasting, e)
		}
	}
	return upper, lasting, err
}

func (c *comparison) mount(t *testing.T, lower string) (upper, merged string, unmount func()) {
	t.Helper()
	dir, err := os.MkdirTemp(c.dir, "")
	require.NoError(t, err)
	upper, work, merged := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "merged")
	for _, d := range []string{upper, work, merged} {
		require.NoError(t, os.Mkdir(d, 0o755))
	}
	require.NoError(t, unix.Mount("overlay", merged, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work))
	return upper, merged, func() { require.NoError(t, unix.Unmount(merged, 0)) }
}

func silent(ctx context.Context) context.Context {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	return log.WithLogger(ctx, logrus.NewEntry(logger))
}

var timeOfDirectory = regexp.MustCompile(`(: d \d+ \d+:\d+) (\d+) `)

// text is a tree, without the times of directories that no archive gave them.
func (c *comparison) text(t *testing.T, root string) string {
	lines := readTree(t, root).lines()
	for i, l := range lines {
		lines[i] = timeOfDirectory.ReplaceAllStringFunc(l, func(s string) string {
			parts := timeOfDirectory.FindStringSubmatch(s)
			return parts[1] + " "
		})
	}
	return strings.Join(lines, "\n")
}

// smallest leaves out entries as long as there is a difference.
func (c *comparison) smallest(t *testing.T, m *randomImage) *randomImage {
	for again := true; again; {
		again = false
		for i := range m.layers {
			for j := 0; j < len(m.layers[i]); j++ {
				smaller := m.without(i, j)
				if ours, theirs := c.compare(t, smaller); ours != theirs {
					m, again = smaller, true
					j--
				}
			}
		}
	}
	return m
}
