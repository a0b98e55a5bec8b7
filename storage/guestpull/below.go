package guestpull

import (
	"errors"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// belowLayers are the layers below one, all of them whole.
type belowLayers struct {
	dir    int   // of all layers, open
	layers []int // their directories in it, the highest first
}

// at calls do with an open directory, and where in it a layer has that name.
func (b belowLayers) at(layer int, name string, do func(dir int, name string) error) error {
	in := strconv.Itoa(layer)
	if full := path.Join(in, name); len(full) <= maxPath {
		return do(b.dir, full)
	}
	fd, err := openDirectory(b.dir, in)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(fd, name)
}

// merged are the layers whose directory of that name is seen from above, of those
// for which the directory around it is: only they can have one, and there is no
// symbolic link on the way.
func (b belowLayers) merged(name string, around []int) (layers []int, err error) {
	for _, layer := range around {
		var opaque bool
		err := b.at(layer, name, func(dir int, name string) (err error) {
			opaque, err = isOpaqueAt(dir, name)
			return err
		})
		switch {
		case errors.Is(err, unix.ENOENT):
			continue
		case errors.Is(err, unix.ENOTDIR):
			return layers, nil // something else is there, or it was removed
		case err != nil:
			return nil, &os.PathError{Op: "look below", Path: b.text(layer, name), Err: err}
		}
		if layers = append(layers, layer); opaque {
			break
		}
	}
	return layers, nil
}

// find is the highest of some layers that have that name, and what it is there; 0
// and false when none has, or it was removed.
func (b belowLayers) find(name string, among []int) (layer int, st unix.Stat_t, found bool, err error) {
	for _, layer := range among {
		err := b.at(layer, name, func(dir int, name string) error {
			return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		})
		if err == nil {
			return layer, st, !isWhiteout(&st), nil
		}
		if !errors.Is(err, unix.ENOENT) {
			return 0, st, false, &os.PathError{Op: "look below", Path: b.text(layer, name), Err: err}
		}
	}
	return 0, st, false, nil
}

func (b belowLayers) text(layer int, name string) string {
	return path.Join(layersName, strconv.Itoa(layer)) + "/" + quote(name)
}

func isOpaqueAt(dir int, name string) (bool, error) {
	fd, err := openDirectory(dir, name)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	return isOpaque(fd)
}
