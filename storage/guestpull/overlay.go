package guestpull

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
)

const (
	upperName = "upperdir"
	workName  = "workdir"
)

// mountOverlay mounts the layers in dirs, given from the lowest, below the
// writable layer id. The options of mount(2) have one page, too little for the
// paths of many layers: they are given relative to the directory of the layers,
// where their names are short.
func mountOverlay(store, id string, dirs []int, rootfs string) error {
	dirs, err := seenDirs(store, dirs)
	if err != nil {
		return err
	}
	lower := make([]string, len(dirs))
	for i, n := range dirs {
		lower[len(dirs)-1-i] = strconv.Itoa(n)
	}
	writable := filepath.Join("..", overlayName, id)
	options := "lowerdir=" + strings.Join(lower, ":") +
		",upperdir=" + filepath.Join(writable, upperName) + ",workdir=" + filepath.Join(writable, workName)
	if len(options) >= os.Getpagesize() {
		return refuse(storage.ErrNotSupported, "pull it onto a store of its own", "the names of its %d layers are too long for a mount", len(dirs))
	}
	return mountIn(filepath.Join(store, layersName), rootfs, options)
}

// seenDirs leaves out the layers below one that removes all of them. The kernel's
// overlay does not look at that in a layer's root directory.
func seenDirs(store string, dirs []int) ([]int, error) {
	for i := len(dirs) - 1; i > 0; i-- {
		opaque, err := isOpaqueAt(unix.AT_FDCWD, filepath.Join(store, layersName, strconv.Itoa(dirs[i])))
		if err != nil {
			return nil, err
		}
		if opaque {
			return dirs[i:], nil
		}
	}
	return dirs, nil
}

// mountIn mounts an overlay whose paths are relative to dir. The working
// directory is that of one thread, which no other goroutine gets.
func mountIn(dir, rootfs, options string) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		result <- mountHere(dir, rootfs, options)
	}()
	return <-result
}

func mountHere(dir, rootfs, options string) (err error) {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Chdir(dir); err != nil {
		return &os.PathError{Op: "chdir", Path: dir, Err: err}
	}
	// The process's first thread does not end, and would keep the store in use.
	defer func() { err = errors.Join(err, unix.Chdir("/")) }()
	if err := unix.Mount("overlay", rootfs, "overlay", 0, options); err != nil {
		return &os.PathError{Op: "mount overlay", Path: rootfs, Err: err}
	}
	return nil
}
