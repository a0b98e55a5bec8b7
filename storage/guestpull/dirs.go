package guestpull

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inherit makes the directories that a layer passes through look as in the
// highest of the layers below that has them. Paths are followed inside of each
// layer only.
func inherit(layerDir string, implied map[string]bool, below []string) error {
	to, err := os.OpenRoot(layerDir)
	if err != nil {
		return err
	}
	defer to.Close()
	for name := range implied {
		for _, dir := range below {
			found, err := inheritOne(to, name, dir)
			if err != nil {
				return err
			}
			if found {
				break
			}
		}
	}
	return nil
}

// inheritOne reports whether the layer at dir has that name, as a directory or as
// something that hides those below.
func inheritOne(to *os.Root, name, dir string) (found bool, err error) {
	from, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer from.Close()
	info, err := from.Lstat(name)
	if err != nil {
		return hides(from, name), nil
	}
	here, err := to.Lstat(name)
	if err != nil || !info.IsDir() || !here.IsDir() {
		return true, nil // a link in this layer leads elsewhere
	}
	return true, copyDir(to, from, name, info)
}

// hides reports whether a layer that does not have name hides what is below it.
func hides(layer *os.Root, name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		info, err := layer.Lstat(dir)
		if err == nil && (!info.IsDir() || opaque(layer, dir)) {
			return true
		}
	}
	return false
}

func opaque(layer *os.Root, dir string) bool {
	f, err := layer.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	value := make([]byte, 1)
	n, err := unix.Fgetxattr(int(f.Fd()), "trusted.overlay.opaque", value)
	return err == nil && n == 1 && value[0] == 'y'
}

func copyDir(to, from *os.Root, name string, info fs.FileInfo) error {
	source, err := from.Open(name)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := to.Open(name)
	if err != nil {
		return err
	}
	defer target.Close()
	if err := copyXattrs(target, source); err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	return errors.Join(
		target.Chown(int(st.Uid), int(st.Gid)), target.Chmod(info.Mode()),
		to.Chtimes(name, time.Unix(st.Atim.Unix()), info.ModTime()))
}

func copyXattrs(target, source *os.File) error {
	names, err := listXattrs(source)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "trusted.") {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Fgetxattr(int(source.Fd()), name, value)
		if err != nil {
			return &os.PathError{Op: "getxattr " + name, Path: source.Name(), Err: err}
		}
		if err := unix.Fsetxattr(int(target.Fd()), name, value[:n], 0); err != nil {
			return &os.PathError{Op: "setxattr " + name, Path: target.Name(), Err: err}
		}
	}
	return nil
}

func listXattrs(f *os.File) ([]string, error) {
	list := make([]byte, 64<<10)
	n, err := unix.Flistxattr(int(f.Fd()), list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "listxattr", Path: f.Name(), Err: err}
	}
	return strings.FieldsFunc(string(list[:n]), func(r rune) bool { return r == 0 }), nil
}

// setRoot gives a layer's own directory what the layer says of it.
func setRoot(dir string, h *tar.Header) error {
	for name, value := range xattrs(h) {
		if err := unix.Setxattr(dir, name, []byte(value), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return &os.PathError{Op: "setxattr " + name, Path: dir, Err: err}
		}
	}
	return errors.Join(os.Chown(dir, h.Uid, h.Gid), os.Chmod(dir, h.FileInfo().Mode()), os.Chtimes(dir, h.ModTime, h.ModTime))
}
