package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// uml is a User-Mode Linux kernel: one process, native speed, one CPU. Its root
// is the host's file tree, read-only.
type uml struct {
	binary  string // the kernel, found in PATH
	modules string // directory of module trees, one for each release
}

// umlChannel is the guest's end of the channel: its second console, which is
// wired to descriptor 3.
const umlChannel = "/dev/tty1"

func (u *uml) missing() []string {
	_, errKernel := exec.LookPath(u.binary)
	_, errModules := u.moduleDir()
	if errKernel != nil || errModules != nil {
		return []string{"user-mode-linux"}
	}
	return nil
}

// moduleDir is the module tree; the package has exactly one.
func (u *uml) moduleDir() (string, error) {
	dirs, err := filepath.Glob(filepath.Join(u.modules, "*", "kernel"))
	if err != nil {
		return "", err
	}
	if len(dirs) != 1 {
		return "", fmt.Errorf("%d module trees in %s, expected one", len(dirs), u.modules)
	}
	return filepath.Dir(dirs[0]), nil
}

func (u *uml) command(m *machine, s *start) (*exec.Cmd, error) {
	tree, err := u.moduleDir()
	if err != nil {
		return nil, err
	}
	s.Tree, s.Show = tree, append(s.Show, tree)
	list, err := moduleList(tree, m.dir)
	if err != nil {
		return nil, err
	}
	// A link, because the kernel's command line cannot hold a path with spaces.
	init := filepath.Join(m.dir, "init")
	if err := os.Symlink(m.self, init); err != nil {
		return nil, err
	}
	args := []string{
		"root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
		"init=" + init,
		fmt.Sprintf("mem=%dM", uint64(m.opts.mem)>>20),
		"con=null", "con0=null,fd:1", "con1=fd:3",
		"uml_dir=" + m.dir,
		"noreboot",
		initMark + "=uml", envModules + "=" + list, envChannel + "=" + umlChannel, envLower + "=/",
	}
	args = append(args, kernelArgs...)
	for i := range m.disks() {
		letter := string(rune('a' + i))
		args = append(args, "ubd"+letter+"="+inherited(1+i))
		s.Disks = append(s.Disks, "/dev/ubd"+letter)
	}
	cmd := exec.Command(u.binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir, "TMPDIR=" + memoryDir(m.opts)}
	return cmd, nil
}

// moduleList writes the file that tells init what to insert.
func moduleList(tree, dir string) (string, error) {
	t, err := openModules(tree)
	if err != nil {
		return "", err
	}
	files, err := t.resolve(storeModules)
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "modules")
	return list, os.WriteFile(list, []byte(strings.Join(files, "\n")), 0o644)
}

// memoryDir is where the kernel's memory lies as a sparse file. /dev/shm is
// best, but containers often make it small or forbid execution there, which UML
// needs.
func memoryDir(o *options) string {
	const shm = "/dev/shm"
	var st unix.Statfs_t
	if err := unix.Statfs(shm, &st); err != nil {
		return o.cache
	}
	room := uint64(st.Bavail) * uint64(st.Bsize)
	if room < uint64(o.mem) || st.Flags&unix.ST_NOEXEC != 0 || unix.Access(shm, unix.W_OK) != nil {
		return o.cache
	}
	return shm
}
