package loop

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Open opens the loop device of that number, "MAJ:MIN", which has a file.
func Open(number string) (*Device, error) {
	d, err := openNumber(number)
	return d, opError("open", number, err)
}

func openNumber(number string) (*Device, error) {
	if _, err := BackingFileOf(number); err != nil {
		return nil, err
	}
	path, err := nodeOf(number)
	if err != nil {
		return nil, err
	}
	var n int
	if _, err := fmt.Sscanf(path, "/dev/loop%d", &n); err != nil {
		return nil, fmt.Errorf("%s is no loop device: %w", path, err)
	}
	f, err := openDevice(n, false)
	if err != nil {
		return nil, err
	}
	return &Device{file: f, path: path}, nil
}

// BackingFileOf is [BackingFile] for a device named by its number, "MAJ:MIN".
func BackingFileOf(number string) (string, error) {
	path, err := nodeOf(number)
	if err != nil {
		return "", opError("backing file", number, err)
	}
	return BackingFile(path)
}

// nodeOf returns the path of a device's node.
func nodeOf(number string) (string, error) {
	link, err := os.Readlink(filepath.Join("/sys/dev/block", number))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotAttached, err)
	}
	return filepath.Join("/dev", filepath.Base(link)), nil
}

// Name returns what the file was called when it was attached: the name that its
// os.File had, the first 63 bytes of it.
func (d *Device) Name() (string, error) {
	info, err := unix.IoctlLoopGetStatus64(int(d.file.Fd()))
	if err != nil {
		return "", opError("name", d.path, err)
	}
	return unix.ByteSliceToString(info.File_name[:]), nil
}
