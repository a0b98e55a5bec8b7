package loop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Detach takes the file off the device at path and waits, a second at the most,
// until it is off. While somebody still has the device open the kernel detaches
// it at the last close; Detach then returns without an error.
func Detach(path string) error { return opError("detach", path, detach(path)) }

func detach(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAttached, err)
	}
	err = unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOTTY) {
		err = fmt.Errorf("%w: %w", ErrNotAttached, err)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// Since Linux 5.15 the file is let go of only after the close above.
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := backing(path); err != nil {
			return nil
		}
	}
	return nil
}

// BackingFile returns the path of the attached file as the kernel knows it; it
// ends in " (deleted)" when the file is. Without a file the error wraps
// [ErrNotAttached].
func BackingFile(path string) (string, error) {
	file, err := backing(path)
	return file, opError("backing file", path, err)
}

func backing(path string) (string, error) {
	text, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(path), "loop/backing_file"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return "", fmt.Errorf("%w: %w", ErrNotAttached, err)
	}
	return strings.TrimSuffix(string(text), "\n"), err
}

// Info is a loop device with a file attached.
type Info struct {
	Path    string // "/dev/loopN"
	Number  string // "MAJ:MIN"
	Backing string // path of the file
}

// List returns the loop devices that have a file attached.
func List() ([]Info, error) {
	dirs, err := filepath.Glob("/sys/block/loop*")
	if err != nil {
		return nil, opError("list", "/sys/block", err)
	}
	var all []Info
	for _, dir := range dirs {
		path := filepath.Join("/dev", filepath.Base(dir))
		file, err := backing(path)
		if errors.Is(err, ErrNotAttached) {
			continue
		}
		if err != nil {
			return nil, opError("list", path, err)
		}
		number, err := os.ReadFile(filepath.Join(dir, "dev"))
		if err != nil {
			return nil, opError("list", path, err)
		}
		all = append(all, Info{path, strings.TrimSpace(string(number)), file})
	}
	return all, nil
}
