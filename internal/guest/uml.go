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
	cache  string
	kernel string // a series, or a directory with the unpacked package
}

// umlFiles is an unpacked package of User-Mode Linux.
type umlFiles struct {
	dir       string
	binary    string
	modules   string   // the tree of the only release
	libraries []string // where it finds its C library; none: the host's
	preload   string   // library that it needs on new processors, or empty
}

// umlChannel is the guest's end of the channel: its second console, which is
// wired to descriptor 3.
const umlChannel = "/dev/tty1"

func (u *uml) missing() lack {
	if _, err := u.installed(); err != nil {
		return missingKernel("uml", u.kernel, hostArch)
	}
	return lack{}
}

// installed finds the kernel: in the directory that was asked for, else in the
// cache.
func (u *uml) installed() (*umlFiles, error) {
	if filepath.IsAbs(u.kernel) {
		return findUML(u.kernel)
	}
	return findUML(unpackedDir(u.cache, kernelID{"uml", u.kernel, hostArch}.String()))
}

// findUML looks for User-Mode Linux below dir, with exactly one tree of modules.
func findUML(dir string) (*umlFiles, error) {
	binary := filepath.Join(dir, "usr/bin/linux.uml")
	if _, err := os.Stat(binary); err != nil {
		return nil, err
	}
	modules, err := filepath.Glob(filepath.Join(dir, "usr/lib/uml/modules/*/kernel"))
	if err != nil {
		return nil, err
	}
	if len(modules) != 1 {
		return nil, fmt.Errorf("%d module trees in %s, expected one", len(modules), dir)
	}
	f := &umlFiles{dir: dir, binary: binary, modules: filepath.Dir(modules[0])}
	if _, err := findLinker(dir); err == nil && dir != "/" {
		f.libraries = libraryPaths(dir)
	}
	if _, err := os.Stat(filepath.Join(dir, xstateLibrary)); err == nil {
		f.preload = filepath.Join(dir, xstateLibrary)
	}
	return f, nil
}

// environ is the environment of the kernel's process.
func (k *umlFiles) environ(home, memory string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + memory}
	if len(k.libraries) > 0 {
		env = append(env, "LD_LIBRARY_PATH="+strings.Join(k.libraries, ":"))
	}
	if k.preload != "" {
		env = append(env, "LD_PRELOAD="+k.preload)
	}
	return env
}

func (u *uml) command(m *machine, s *start) (*exec.Cmd, error) {
	k, err := u.installed()
	if err != nil {
		return nil, err
	}
	s.Tree, s.Show = k.modules, append(s.Show, k.modules)
	list, err := k.moduleList(m.dir)
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
		// Quicker where the kernel can do it; an older one ignores the word.
		"seccomp=auto",
		initMark + "=uml", envModules + "=" + list, envChannel + "=" + umlChannel, envLower + "=/",
	}
	args = append(args, kernelArgs...)
	for i := range m.disks() {
		letter := string(rune('a' + i))
		args = append(args, "ubd"+letter+"="+inherited(1+i))
		s.Disks = append(s.Disks, "/dev/ubd"+letter)
	}
	cmd := exec.Command(k.binary, args...)
	cmd.Dir = k.dir
	cmd.Env = k.environ(m.dir, memoryDir(m.opts))
	return cmd, nil
}

// moduleList writes the file that tells init what to insert.
func (k *umlFiles) moduleList(dir string) (string, error) {
	t, err := openModules(k.modules)
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
