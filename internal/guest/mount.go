package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is one line of the guest's mount plan.
type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// early are the mounts that init itself needs before it knows the command.
var early = []mount{
	{"dev", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
	{"proc", "/proc", "proc", quiet, ""},
	{"sys", "/sys", "sysfs", quiet, ""},
}

// stage is a directory that every host has; before the switch to the final root
// it holds the layers of that root.
const stage = "/tmp"

var layers = mount{"guest", stage, "tmpfs", 0, "mode=0755,size=90%"}

// final are the mounts of the tree in which the command runs.
var final = []mount{
	{"proc", "/proc", "proc", quiet, ""},
	{"sys", "/sys", "sysfs", quiet, ""},
	{"dev", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "ptmxmode=0666,mode=0620,gid=5"},
	{"shm", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"run", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
	{"tmp", "/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777,size=90%"},
	{"cgroup2", "/sys/fs/cgroup", "cgroup2", quiet, ""},
}

// hiding are the final mounts that cover places where a caller may have files.
var hiding = []string{"/tmp", "/run", "/dev/shm"}

// mountEarly makes the early mounts. Some kernels have mounted /dev already.
func mountEarly() error {
	for _, m := range early {
		if err := m.at(""); err != nil && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return nil
}

// toolsDir is where a disk with the host's tools is mounted.
const toolsDir = "/tools"

func mountTools(serial string) error {
	if serial == "" {
		return nil
	}
	device, err := findDisk("/sys/block", serial, deviceWait)
	if err != nil {
		return err
	}
	return mount{device, toolsDir, "romfs", unix.MS_RDONLY, ""}.at("")
}

// at mounts m below root, where its directory is made if it can be.
func (m mount) at(root string) error {
	target := root + m.target
	if err := os.MkdirAll(target, 0o755); err != nil && !errors.Is(err, unix.EROFS) {
		return err
	}
	err := unix.Mount(m.source, target, m.kind, m.flags, m.data)
	if err != nil {
		return fmt.Errorf("mount %s on %s: %w", m.kind, target, err)
	}
	return nil
}

// enterTree makes the root in which the command runs: the host's tree as lower
// layer, never written, and memory above it. It returns the upper layer, open,
// where every file that the command changes will be found.
func enterTree(lower string, show []string) (*os.File, error) {
	if err := layers.at(""); err != nil {
		return nil, err
	}
	root, upper, work := stage+"/root", stage+"/upper", stage+"/work"
	for _, d := range []string{root, upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, err
		}
	}
	overlay := mount{"root", root, "overlay", 0, "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work}
	if err := overlay.at(""); err != nil {
		return nil, err
	}
	shown, err := openAll(root, show)
	if err != nil {
		return nil, err
	}
	defer closeAll(shown)
	for _, m := range final {
		if err := m.at(root); err != nil {
			return nil, err
		}
	}
	for _, f := range shown {
		if err := rebind(f); err != nil {
			return nil, err
		}
	}
	changes, err := os.Open(upper)
	if err != nil {
		return nil, err
	}
	return changes, switchRoot(root)
}

// openAll opens those of the paths that a mount will hide, as they are now. A
// path below another of the list needs nothing of its own.
func openAll(root string, paths []string) ([]*os.File, error) {
	var files []*os.File
	for _, p := range hidden(paths) {
		f, err := os.OpenFile(root+p, unix.O_PATH, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// hidden picks the paths that lie below a hiding mount, without those that
// another one of them contains. The mount points themselves cannot be shown.
func hidden(paths []string) []string {
	sorted := append([]string(nil), paths...)
	sort.Strings(sorted)
	var out []string
	for _, p := range sorted {
		p = filepath.Clean(p)
		if within(p, out) {
			continue
		}
		for _, h := range hiding {
			if strings.HasPrefix(p, h+"/") {
				out = append(out, p)
			}
		}
	}
	return out
}

// within tells whether path is one of the roots or below one.
func within(path string, roots []string) bool {
	for _, r := range roots {
		if path == r || strings.HasPrefix(path, strings.TrimSuffix(r, "/")+"/") {
			return true
		}
	}
	return false
}

// rebind shows an opened file or directory at its own path again.
func rebind(f *os.File) error {
	if err := makePoint(f); err != nil {
		return err
	}
	err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), f.Name(), "", unix.MS_BIND|unix.MS_REC, "")
	if err != nil {
		return fmt.Errorf("show %s in the guest: %w", f.Name(), err)
	}
	return nil
}

// makePoint makes a mount point of the type of f.
func makePoint(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.MkdirAll(f.Name(), 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(f.Name()), 0o755); err != nil {
		return err
	}
	return os.WriteFile(f.Name(), nil, 0o644)
}

// switchRoot makes dir the root of this process for good.
func switchRoot(dir string) error {
	steps := []func() error{
		func() error { return unix.Chdir(dir) },
		func() error { return unix.Mount(".", "/", "", unix.MS_MOVE, "") },
		func() error { return unix.Chroot(".") },
		func() error { return unix.Chdir("/") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("switch to the guest's root: %w", err)
		}
	}
	return nil
}
