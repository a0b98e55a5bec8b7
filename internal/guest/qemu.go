package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// qemu is an emulated machine with the distribution's kernel for clouds:
// several CPUs, which run in parallel, at a fraction of the native speed. Its
// root is made of copies of the host's files.
type qemu struct {
	cache  string // where setup puts kernels, and prepared roots are kept
	kernel string // a series, or a directory with the unpacked package
	arch   string
}

const (
	qemuPort    = "guest"   // the channel's name among the virtio ports
	qemuLower   = "host"    // directory of the copied files in the first root
	qemuModules = "modules" // directory of the modules in the first root
	toolsSerial = "tools"   // serial number of the disk with the guest's programs
)

// qemuDrivers are the modules without which nothing reaches any machine.
var qemuDrivers = []module{
	{name: "virtio_console"}, {name: "virtio_blk"},
	{name: "virtio_rng", optional: true}, {name: "romfs"},
}

func (q *qemu) missing() lack {
	var l lack
	if _, err := q.installed(); err != nil {
		l = missingKernel("qemu", q.kernel, q.arch)
	}
	if t := machineTypes[q.arch]; notInstalled(t.qemu) {
		l.packages = append(l.packages, t.debian)
	}
	if _, err := q.foreignTools(); err != nil {
		l.kernels = append(l.kernels, toolsName(q.arch))
	}
	return l
}

// installed finds the kernel: in the directory that was asked for, else in the
// cache.
func (q *qemu) installed() (*kernelFiles, error) {
	if filepath.IsAbs(q.kernel) {
		return findKernel(q.kernel)
	}
	return findKernel(unpackedDir(q.cache, kernelID{"qemu", q.kernel, q.arch}.String()))
}

// notInstalled tells whether a program is missing.
func notInstalled(program string) bool {
	_, err := exec.LookPath(program)
	return err != nil
}

func (q *qemu) command(m *machine, s *start) (*exec.Cmd, error) {
	k, err := q.installed()
	if err != nil {
		return nil, err
	}
	base, err := q.toolsTree()
	if err != nil {
		return nil, err
	}
	tools, err := q.toolsImage(base)
	if err != nil {
		return nil, err
	}
	run, err := commandTree(s, m.opts)
	if err != nil {
		return nil, err
	}
	run.without(base)
	init, err := initProgram(m, q.arch)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(m.dir, "root")
	if err := initialRoot(root, k, init, q.arch, run); err != nil {
		return nil, err
	}
	t := machineTypes[q.arch]
	args := t.arguments(m.opts, k.image, root, slices.Concat([]string{
		"nokaslr", "mitigations=off", "rdinit=/init", initMark + "=qemu", envModules + "=/" + qemuModules + "/list",
		envChannel + "=" + qemuPort, envLower + "=/" + qemuLower + ":" + toolsDir, envTools + "=" + toolsSerial,
	}, kernelArgs))
	// By names that stand for the device of the machine's own bus.
	args = append(args,
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "socket,id=channel,fd=3",
		"-device", "virtio-serial", "-device", "virtserialport,chardev=channel,name="+qemuPort,
		"-device", "virtio-rng",
	)
	for i := range m.disks() {
		serial := fmt.Sprintf("raw%d", i)
		args = append(args, attach(serial, inherited(1+i), "discard=unmap,cache=writeback"+limits(m.opts))...)
		s.Disks = append(s.Disks, serial)
	}
	args = append(args, attach(toolsSerial, tools, "readonly=on")...)
	return exec.Command(t.qemu, args...), nil
}

// attach describes a disk with a serial number, by which init finds it: the order
// in which a kernel names its disks is not that of their attachment.
func attach(serial, file, options string) []string {
	return []string{
		"-drive", fmt.Sprintf("if=none,id=%s,format=raw,file=%s,%s", serial, strings.ReplaceAll(file, ",", ",,"), options),
		"-device", fmt.Sprintf("virtio-blk,drive=%s,serial=%s", serial, serial),
	}
}

// limits are how much a raw disk does in a second.
func limits(o *options) string {
	var text string
	if o.throttle > 0 {
		text += fmt.Sprintf(",throttling.bps-total=%d", uint64(o.throttle))
	}
	if o.iops > 0 {
		text += fmt.Sprintf(",throttling.iops-total=%d", o.iops)
	}
	return text
}

// toolsImage is a disk with the host's tools, kept until one of them changes.
func (q *qemu) toolsImage(base *tree) (string, error) {
	path := filepath.Join(q.cache, "tools-"+q.arch+"-"+base.fingerprint()+".romfs")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	old, err := filepath.Glob(filepath.Join(q.cache, "tools-"+q.arch+"-*.romfs"))
	if err != nil {
		return "", err
	}
	for _, o := range old {
		os.Remove(o)
	}
	return path, writeWhole(path, base.writeRomfs)
}

// initialRoot writes the machine's first root: init, the modules, and the files
// of this command that are not among the tools.
func initialRoot(path string, k *kernelFiles, init, arch string, run *tree) error {
	boot, err := k.bootTree(init, arch)
	if err != nil {
		return err
	}
	return writeWhole(path, func(w io.Writer) error {
		return errors.Join(boot.pack(w, ""), run.pack(w, qemuLower))
	})
}

// writeWhole makes a file that never exists in part.
func writeWhole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// copyLimit is the size of the largest file that is copied because it lies in
// the caller's module and not because it was named.
const copyLimit = 16 << 20

// commandTree collects what one command needs: itself, the Go module around the
// caller's directory, what -file names, and the directories that results go to.
func commandTree(s *start, o *options) (*tree, error) {
	t := newTree()
	t.arch = o.arch
	if err := t.addCommand(s.Args[0]); err != nil {
		return nil, err
	}
	if err := t.add(s.Dir); err != nil {
		return nil, err
	}
	if dir, ok := moduleRoot(s.Dir); ok {
		if err := t.addAll(dir, skipCopy); err != nil {
			return nil, err
		}
	}
	for _, f := range o.files {
		if err := t.addNamed(f); err != nil {
			return nil, err
		}
	}
	for _, k := range s.Keep {
		dir := k
		if info, err := os.Stat(k); err != nil || !info.IsDir() {
			dir = filepath.Dir(k)
		}
		if err := t.add(dir); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// addCommand adds the command, unless it is one of the guest's own.
func (t *tree) addCommand(path string) error {
	if !filepath.IsAbs(path) || foreign(path, t.arch) {
		return nil
	}
	return t.addProgram(path)
}

// addNamed adds a file, with the libraries that it needs, or a directory.
func (t *tree) addNamed(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return t.addAll(path, func(string, fs.FileInfo) bool { return false })
	}
	return t.addProgram(path)
}

// skipCopy leaves out what no command reads in a guest.
func skipCopy(path string, info fs.FileInfo) bool {
	name := filepath.Base(path)
	return info.IsDir() && (name == ".git" || name == ".cache") || info.Size() > copyLimit
}

// moduleRoot is the nearest directory with a go.mod, from dir upwards.
func moduleRoot(dir string) (string, bool) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d, true
		}
		if d == filepath.Dir(d) {
			return "", false
		}
	}
}
