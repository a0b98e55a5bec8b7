package securemount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// device returns the number of the block device, under which the kernel knows it.
func (r *Request) device() (number string, err error) {
	if r.DeviceID != "" {
		return r.DeviceID, nil
	}
	number, isDevice := blockNumber(r.DevicePath)
	if !isDevice {
		return "", &InvalidRequestError{[]string{fmt.Sprintf("devicePath %s: no block device", quote(r.DevicePath))}}
	}
	return number, nil
}

// blockNumber returns the number of the block device that a path names.
func blockNumber(path string) (number string, isDevice bool) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", false
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), true
}

// checkMountPoint refuses a path that is another one in truth: live stores are
// known by where the kernel says that they are mounted.
func (r *Request) checkMountPoint() error {
	path := r.MountPoint
	if r.Target == TargetDevice {
		path = filepath.Dir(path) // the last part is, or becomes, a link
	}
	real, err := realPath(path)
	if err != nil {
		return &InvalidRequestError{[]string{fmt.Sprintf("mount_point %s: %v", quote(r.MountPoint), err)}}
	}
	if real != path {
		return &InvalidRequestError{[]string{fmt.Sprintf("mount_point %s: leads through a symbolic link; name %s", quote(r.MountPoint), quote(real))}}
	}
	return nil
}

// realPath follows symbolic links in the part of a path that exists.
func realPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if _, err := os.Lstat(path); err == nil {
		return "", errors.New("a symbolic link to nothing")
	}
	parent, err := realPath(filepath.Dir(path))
	return filepath.Join(parent, filepath.Base(path)), err
}
