package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// hostTools are the programs that tests compare with or that a person in a
// guest misses. Those that the host has are shown in a guest that cannot see
// its files.
var hostTools = []string{
	"cryptsetup", "integritysetup", "dmsetup", "losetup", "blkid", "lsblk", "blockdev", "findmnt", "mount", "umount",
	"e2fsck", "fsck.ext4", "dumpe2fs", "mkfs.ext4", "mke2fs", "debugfs", "tune2fs", "resize2fs",
	"fio", "stress-ng", "bash", "sh", "dd", "ls", "cat", "dmesg", "keyctl",
}

// hostFiles are what those programs read.
var hostFiles = []string{
	"/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/mke2fs.conf", "/etc/services",
	"/etc/ssl/openssl.cnf", "/usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so",
	"/lib/terminfo/l/linux", "/lib/terminfo/x/xterm", "/lib/terminfo/x/xterm-256color", "/lib/terminfo/s/screen",
}

// hostTree collects the tools of this host.
func hostTree() (*tree, error) {
	t := newTree()
	for _, d := range []string{"/bin", "/sbin", "/lib", "/lib64", "/usr/bin", "/usr/sbin", "/root", "/tmp", "/etc", "/var"} {
		if err := t.add(d); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	for _, name := range hostTools {
		path, err := findTool(name)
		if err != nil {
			continue
		}
		if err := t.addProgram(path); err != nil {
			return nil, err
		}
	}
	for _, f := range hostFiles {
		if err := t.add(f); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	return t, t.addBusybox()
}

// findTool looks where root would look, too.
func findTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// addBusybox adds the many small programs of busybox, as links, where the tree
// has none of that name.
func (t *tree) addBusybox() error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil
	}
	if err := t.addProgram(path); err != nil {
		return err
	}
	return t.linkBusybox(path, path)
}

// linkBusybox makes the links to the guest's busybox at path; host is the one that
// is asked for its programs.
func (t *tree) linkBusybox(path, host string) error {
	list, err := exec.Command(host, "--list-full").Output()
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(list)) {
		link := filepath.Join("/usr/bin", filepath.Base(name))
		if !t.hasTool(filepath.Base(name)) {
			t.entries[link] = entry{mode: fs.ModeSymlink | 0o777, target: path}
		}
	}
	return nil
}

func (t *tree) hasTool(name string) bool {
	for _, d := range []string{"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin"} {
		if _, ok := t.entries[filepath.Join(d, name)]; ok {
			return true
		}
	}
	return false
}
