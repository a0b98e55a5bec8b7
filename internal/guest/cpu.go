package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A kernel in user mode runs one of its processes at a time. Spread over several
// CPUs of the host they wait for a sleeping one to wake at every system call and
// page fault: a process of the guest starts three times as fast on a single CPU.

// cpuMark is set for the watcher; its value is the CPU that it keeps the kernel on.
const cpuMark = "GUEST_ON_CPU"

// takeCPU returns a CPU that no other guest of this cache has, for as long as
// the file is open; without one, or a choice, a nil file.
func takeCPU(cache string) (cpu int, lock *os.File) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil || allowed.Count() < 2 {
		return 0, nil
	}
	for cpu := range len(allowed) * 64 {
		if !allowed.IsSet(cpu) {
			continue
		}
		f, err := os.OpenFile(filepath.Join(cache, fmt.Sprintf("cpu-%d.lock", cpu)), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return 0, nil // it is only a matter of speed
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			return cpu, f
		}
		f.Close()
	}
	return 0, nil
}

// stayOnCPU binds this thread, and what it starts, to the CPU of the mark.
func stayOnCPU(mark string) error {
	cpu, err := strconv.Atoi(mark)
	if err != nil {
		return fmt.Errorf("%s=%q is no CPU", cpuMark, mark)
	}
	var set unix.CPUSet
	set.Set(cpu)
	return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &set))
}
