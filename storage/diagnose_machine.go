package storage

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// release is a kernel's, such as 6.12.
type release struct{ major, minor int }

func (r release) before(o release) bool {
	return r.major < o.major || r.major == o.major && r.minor < o.minor
}

// The kernels that work, and those that the tests run on.
var (
	oldestKernel = release{5, 8}
	firstTested  = release{6, 1}
	lastTested   = release{7, 3}
)

func checkRelease() Check {
	var name unix.Utsname
	var r release
	if err := unix.Uname(&name); err != nil {
		return warns("kernel", err.Error(), "")
	}
	text := unix.ByteSliceToString(name.Release[:])
	if _, err := fmt.Sscanf(text, "%d.%d", &r.major, &r.minor); err != nil {
		return warns("kernel", text+" is no release that is known", "")
	}
	return judgeRelease(text, r)
}

func judgeRelease(text string, r release) Check {
	switch {
	case r.before(oldestKernel):
		return fails("kernel", refuse(ErrNotSupported, "use Linux 5.8 or later", "Linux %s is too old", text), "")
	case r.before(firstTested) || lastTested.before(r):
		return warns("kernel", "Linux "+text+" is not one that the tests run on", "try it before you depend on it")
	}
	return passes("kernel", "Linux "+text)
}

func checkMachine() []Check { return []Check{checkAES(), checkMemory(), checkSwap()} }

func checkAES() Check {
	if cpu.X86.HasAES || cpu.ARM64.HasAES || cpu.S390X.HasAES {
		return passes("AES instructions", "there")
	}
	return warns("AES instructions", "missing: encryption is slow", "use a CPU that has them, or let the guest see them")
}

// littleMemory is where the kernel's buffers of a store begin to be felt.
const littleMemory = 128 << 20

func checkMemory() Check {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return warns("memory", err.Error(), "mount /proc")
	}
	available := uint64(0)
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &available); err == nil {
			break
		}
	}
	found := fmt.Sprintf("%d MiB available", available>>10)
	if available<<10 < littleMemory {
		return warns("memory", found, "give the guest more than 128 MiB")
	}
	return passes("memory", found)
}

func checkSwap() Check {
	switch all, ours := swapAreas(), ourSwapAreas(); {
	case all > 0 && all == ours:
		return passes("swap", "on stores alone")
	case all > 0:
		return warns("swap", "active: secrets in the guest's memory may reach a disk", "swapoff -a, or swap to a store: CreateOptions.Swap")
	}
	return passes("swap", "none")
}

// ourSwapAreas counts those that are stores, as far as this process may ask.
func ourSwapAreas() (n int) {
	list, _ := List(context.Background()) // without root: none that is known
	for i := range list {
		if list[i].Swap != nil && list[i].State == StateSwap {
			n++
		}
	}
	return n
}
