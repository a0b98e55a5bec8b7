package guestpull

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
)

const rootfsName = "rootfs"

// checkBundle finds what is wrong with a bundle before anything is pulled.
func (im *Images) checkBundle(bundle string) error {
	if bundle == "" {
		return nil
	}
	if !filepath.IsAbs(bundle) {
		return refuse(storage.ErrInvalid, "give an absolute path", "bundle %q is not an absolute path", bundle)
	}
	if err := outside(im.dir, bundle); err != nil {
		return err
	}
	mounted, err := isMounted(filepath.Join(bundle, rootfsName))
	if err != nil {
		return err
	}
	if mounted {
		return refuse(storage.ErrBusy, "release the bundle, or choose another", "%s/%s: something is mounted there already", bundle, rootfsName)
	}
	return nil
}

func isMounted(path string) (bool, error) {
	mounted, err := mountinfo.Mounted(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return mounted, err
}

// bundleID names the writable layer of a bundle, so that it is found again
// without any other record.
func bundleID(bundle string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(bundle)))
	return hex.EncodeToString(sum[:])
}

// mount mounts an image, whose layers are in dirs, in a bundle.
func (im *Images) mount(ctx context.Context, image digest.Digest, dirs []int, bundle string) (rootfs string, err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if err := errors.Join(ctx.Err(), im.checkBundle(bundle)); err != nil {
		return "", err
	}
	if _, there := im.index.Images[image]; !there {
		return "", refuse(ErrNoSuchImage, "pull it again", "it was removed from the store meanwhile")
	}
	id, rootfs := bundleID(bundle), filepath.Join(filepath.Clean(bundle), rootfsName)
	made, err := makeDirs(rootfs)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, im.forget(id))
			removeDirs(made)
		}
	}()
	if err := im.makeWritable(id, dirs); err != nil {
		return "", err
	}
	if err := im.change(func(x *index) { x.Bundles[id] = indexBundle{Path: filepath.Clean(bundle), Image: image} }); err != nil {
		return "", err
	}
	return rootfs, mountOverlay(im.dir, id, dirs, rootfs)
}

// makeWritable makes the writable layer of a bundle. The root directory of a
// mounted overlay looks as that of its uppermost layer.
func (im *Images) makeWritable(id string, dirs []int) error {
	dir := filepath.Join(im.dir, overlayName, id)
	upper := filepath.Join(dir, upperName)
	err := os.RemoveAll(dir) // of a bundle of that path that was never released
	for _, d := range []string{dir, upper, filepath.Join(dir, workName)} {
		if err == nil {
			err = os.Mkdir(d, 0o700)
		}
	}
	if err != nil {
		return err
	}
	to, err := openForReading(unix.AT_FDCWD, upper, 0)
	if err != nil {
		return err
	}
	defer to.Close()
	from, err := openForReading(unix.AT_FDCWD, im.layerDir(dirs[len(dirs)-1]), 0)
	if err != nil {
		return err
	}
	defer from.Close()
	return copyLooks(to, from)
}

// forget takes a bundle, which is not mounted, off the store. im.mu must be held.
func (im *Images) forget(id string) error {
	if _, known := im.index.Bundles[id]; known {
		if err := im.change(func(x *index) { delete(x.Bundles, id) }); err != nil {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(im.dir, overlayName, id))
}

// Release unmounts the image of a bundle and removes what was written there. A
// bundle that is released already is no error; one in use is, with
// [storage.ErrBusy].
func (im *Images) Release(ctx context.Context, bundle string) error {
	return failure("release", bundle, "", im.using(ctx, func() error { return im.release(bundle) }))
}

func (im *Images) release(bundle string) error {
	if !filepath.IsAbs(bundle) {
		return refuse(storage.ErrInvalid, "give an absolute path", "it is not an absolute path")
	}
	id, rootfs := bundleID(bundle), filepath.Join(bundle, rootfsName)
	if _, known := im.index.Bundles[id]; !known {
		return nil
	}
	if err := unmount(rootfs); err != nil {
		return err
	}
	return errors.Join(im.forget(id), removeEmpty(rootfs))
}

func unmount(rootfs string) error {
	mounted, err := isMounted(rootfs)
	if err != nil || !mounted {
		return err
	}
	if err := unix.Unmount(rootfs, unix.UMOUNT_NOFOLLOW); err != nil {
		return &os.PathError{Op: "unmount", Path: rootfs, Err: err}
	}
	return nil
}

// using runs do while the store is this process's own.
func (im *Images) using(ctx context.Context, do func() error) error {
	if err := im.begin(ctx); err != nil {
		return err
	}
	defer im.end()
	im.mu.Lock()
	defer im.mu.Unlock()
	return do()
}

// makeDirs makes dir and its missing parents, and returns those it made, the
// deepest first.
func makeDirs(dir string) (made []string, err error) {
	for d := dir; d != "/"; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); err == nil {
			break
		}
		made = append(made, d)
	}
	return made, os.MkdirAll(dir, 0o755)
}

func removeDirs(made []string) {
	for _, d := range made {
		os.Remove(d)
	}
}

// removeEmpty leaves a directory that somebody else put something into.
func removeEmpty(dir string) error {
	err := os.Remove(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) {
		return nil
	}
	return err
}
