package guestpull

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
)

const (
	layersName  = "layers"
	overlayName = "overlay"
	lockName    = "lock"
)

// Images are the images on one store. It is safe for concurrent use; pulls of
// one Images share what they download.
type Images struct {
	dir  string
	opts Options

	gate  chan struct{} // held while the lock is taken or given back
	users int           // calls under way; guarded by gate
	lock  *os.File      // held by the users together; guarded by gate

	mu     sync.Mutex // guards what follows, and images.json
	index  *index
	layers map[digest.Digest]*layer // on the store, or on the way to it
	next   int                      // number of the next layer's directory
}

// New returns the images of the store that is mounted at dir, usually
// [storage.DefaultMountPoint]. It touches nothing.
func New(dir string, opts Options) *Images {
	opts.setDefaults()
	return &Images{dir: filepath.Clean(dir), opts: opts, gate: make(chan struct{}, 1)}
}

// begin makes the store this process's own until end, and shares it with the
// other calls of this Images. It waits while another process has it.
func (im *Images) begin(ctx context.Context) error {
	select {
	case im.gate <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-im.gate }()
	if im.users == 0 {
		if err := im.take(ctx); err != nil {
			return err
		}
	}
	im.users++
	return nil
}

func (im *Images) end() {
	im.gate <- struct{}{}
	defer func() { <-im.gate }()
	if im.users--; im.users == 0 {
		im.lock.Close() // which unlocks it
	}
}

func (im *Images) take(ctx context.Context) error {
	if err := im.makeLayout(); err != nil {
		return err
	}
	lock, err := lockFile(ctx, filepath.Join(im.dir, lockName))
	if err != nil {
		return err
	}
	if err := im.load(); err != nil {
		lock.Close()
		return err
	}
	im.lock = lock
	return nil
}

// makeLayout does not make the store's directory itself: what is pulled to a
// mount point without its store would fill the guest's memory.
func (im *Images) makeLayout() error {
	if _, err := os.Stat(im.dir); err != nil {
		return refuse(storage.ErrInvalid, "make the store first: storage.Create(DEVICE)", "store: %w", err)
	}
	for _, name := range []string{layersName, overlayName} {
		if err := os.Mkdir(filepath.Join(im.dir, name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

const lockPause = 50 * time.Millisecond

// lockFile waits for the lock of other processes. The kernel gives it back when
// a process dies.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// load reads the index, and removes what a process that died left beside it.
func (im *Images) load() error {
	x, err := loadIndex(im.dir)
	if err != nil {
		return err
	}
	im.index, im.next, im.layers = x, x.Next, map[digest.Digest]*layer{}
	keepLayers, keepBundles := map[string]bool{}, map[string]bool{}
	for chain, l := range x.Layers {
		im.layers[chain] = layerOnStore(l)
		keepLayers[strconv.Itoa(l.Dir)] = true
	}
	for id := range x.Bundles {
		keepBundles[id] = true
	}
	return errors.Join(
		removeOthers(filepath.Join(im.dir, layersName), func(name string) bool { return keepLayers[name] }),
		removeOthers(filepath.Join(im.dir, overlayName), func(name string) bool { return keepBundles[name] }),
		removeOthers(im.dir, func(name string) bool { return !strings.HasPrefix(name, indexName+".") }),
	)
}

func removeOthers(dir string, keep func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !keep(e.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

func (im *Images) layerDir(n int) string {
	return filepath.Join(im.dir, layersName, strconv.Itoa(n))
}

// change saves a changed index and then goes by it. im.mu must be held.
func (im *Images) change(edit func(*index)) error {
	x := im.index.clone()
	edit(x)
	x.Next = im.next
	if err := x.save(im.dir); err != nil {
		return err
	}
	im.index = x
	return nil
}
