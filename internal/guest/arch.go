package main

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"
)

// hostArch is the architecture of User-Mode Linux and of the host's programs.
const hostArch = "amd64"

// machineType is what QEMU emulates for one architecture.
type machineType struct {
	qemu    string   // program
	debian  string   // package of that program
	args    []string // machine and CPU, with all that the CPU can have
	console string   // the kernel's name for the first serial line
	machine elf.Machine
	modules []module // of the kernel, beside those of every machine
}

// machineTypes are the architectures that the qemu bed knows, by Go's names, which
// are Debian's too.
var machineTypes = map[string]machineType{
	"amd64": {
		qemu: "qemu-system-x86_64", debian: "qemu-system-x86",
		// AVX is slower to emulate than what kernels use without it: half the time for encryption.
		args: []string{"-machine", "q35", "-cpu", "max,-avx"}, console: "ttyS0", machine: elf.EM_X86_64,
		modules: []module{{name: "virtio_pci"}, {name: "aesni-intel"}},
	},
	"arm64": {
		qemu: "qemu-system-aarch64", debian: "qemu-system-arm",
		// Pointer authentication in the architecture's own way is slow to emulate.
		args: []string{"-machine", "virt", "-cpu", "max,pauth-impdef=on"}, console: "ttyAMA0", machine: elf.EM_AARCH64,
		modules: []module{{name: "virtio_pci"}, {name: "aes-ce-blk"}},
	},
	"s390x": {
		// QEMU emulates none of its AES instructions.
		qemu: "qemu-system-s390x", debian: "qemu-system-misc",
		args: []string{"-machine", "s390-ccw-virtio", "-cpu", "max"}, console: "ttysclp0", machine: elf.EM_S390,
	},
}

// checkArch refuses an architecture that the bed cannot have.
func checkArch(bed, arch string) error {
	if _, ok := machineTypes[arch]; !ok {
		return fmt.Errorf("unknown architecture %q: use -arch amd64, arm64 or s390x", arch)
	}
	if bed == "uml" && arch != hostArch {
		return fmt.Errorf("the uml bed has the host's CPU, not %s: use -bed qemu", arch)
	}
	return nil
}

// foreign tells whether the file at path is a program for another architecture
// than the guest's.
func foreign(path, arch string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Machine != machineTypes[arch].machine
}

// arguments are what QEMU needs for a machine, but for what is attached to it.
func (t machineType) arguments(o *options, image, root string, words []string) []string {
	accel := o.accel
	if accel == "tcg" {
		accel = "tcg,thread=multi"
	}
	return slices.Concat([]string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-accel", accel,
	}, t.args, []string{
		"-smp", fmt.Sprint(o.cpus), "-m", fmt.Sprintf("%dM", uint64(o.mem)>>20),
		"-kernel", image, "-initrd", root,
		"-append", strings.Join(append([]string{"console=" + t.console}, words...), " "),
	})
}
