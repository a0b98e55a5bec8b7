package securemount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const mapperDir = "/dev/mapper/"

// checkLink finds out whether a link can be made, before anything is touched.
func checkLink(path string) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	target, err := os.Readlink(path)
	if err != nil {
		return &InvalidRequestError{[]string{fmt.Sprintf("mount_point %s: exists, and is no symbolic link", quote(path))}}
	}
	if _, err := os.Stat(path); strings.HasPrefix(target, mapperDir) && errors.Is(err, fs.ErrNotExist) {
		return nil // of a store that is gone
	}
	return &ConflictError{path, []string{"it is a link to " + target}}
}

// makeLink makes the link that stands for a store of TargetDevice.
func makeLink(target, path string) error {
	if is, err := os.Readlink(path); err == nil && is == target {
		return nil
	}
	if err := checkLink(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

// removeLink removes the link to a mapping that is gone.
func removeLink(target, path string) error {
	if is, err := os.Readlink(path); err != nil || is != target {
		return nil
	}
	return os.Remove(path)
}
