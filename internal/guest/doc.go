/*
Guest runs a command under a real kernel of its own, as an ordinary process:
without root, without KVM, without device-mapper on the machine.

	go tool guest [flags] CMD [ARGS…]
	go test -exec 'go tool guest' ./…
	go tool guest -i
	go tool guest setup [NAME…]

The command sees the caller's files, working directory and environment, is root
of its guest, and has device-mapper, loop devices, ext4, kernel keys and cgroups
to itself. Its standard output and error stay apart, its input is passed on, and
its exit status is the tool's.

# Beds

-bed uml (the default) is User-Mode Linux: one CPU, native speed, up in two
seconds. Each guest stays on a CPU of the host that no other one has. -bed qemu is
Debian's cloud kernel in an emulated machine: several CPUs that run in parallel
(-cpus, 4 by default), some ten times slower. It can limit its disks as clouds do,
in bytes a second (-throttle BYTES), in requests a second (-iops N) and in both.
It has the instructions that a cloud's CPUs have, those for AES among them.

Both start the tool itself as init, which inserts the kernel's modules, makes the
root described below, runs the command and reports. The self-tests of the
kernel's ciphers are off: they take longer than most tests.

# Kernels

-kernel says which one boots: 6.1, 6.12, newest (the newest that Debian has), or a
directory with an unpacked package. -arch amd64, arm64 or s390x (big endian) says
what machine -bed qemu emulates. A guest of another architecture than the host's
has none of the host's programs; it has Debian's busybox, cryptsetup, dmsetup and
e2fsprogs. The command must be built for it:

	GOARCH=s390x CGO_ENABLED=0 go test -exec 'env GOARCH= go tool guest -bed qemu -arch s390x' ./…

"setup" fetches kernels, and the programs of such guests, into the cache, without
root and without a change to the machine's apt: it reads the lists of other Debian
suites from the mirror that apt's sources name, checks them with Debian's key, and
unpacks packages. It needs apt-get, dpkg-deb and package debian-archive-keyring.
Without a name it fetches everything (1 GB unpacked); what cannot be had is an
error. What is there already stays as it is: for a newer "newest", remove its
directory below debian in the cache.

User-Mode Linux needs the C library that it was built for, which lies beside it.
That of 6.1 and 6.12 dies on processors with AMX as it is, so setup compiles a
small library for it (xstate/ptrace.c).

cryptsetup-newest, in the PATH of every amd64 guest, is the newest cryptsetup that
Debian has; cryptsetup is the host's. containerd-1.7 and containerd-2, in the PATH
of guests of the uml bed, are the newest of their series; they use the host's C
library, 2.34 or later.

# Files

The guest's root is an overlay: below, the host's files; above, memory. Whatever
the command writes is gone with the guest, but for what lies below a path that
was named as an output; that is written to the host when the command has ended:

  - -out DIR
  - the flags by which go test collects results (-test.coverprofile,
    -test.gocoverdir, -test.cpuprofile, -test.outputdir and so on)
  - the environment variable GOCOVERDIR

Files are returned whole, and only regular ones; nothing is deleted on the host.
Everything else on the host is read-only to a guest.

/tmp, /run and /dev/shm are empty and in memory, whatever the host has there.
What the command is likely to need is shown through: its own file, the working
directory with the Go module around it, every absolute path among its arguments,
the outputs, and -file.

The uml bed sees every file that the calling user can read. The qemu bed cannot:
it gets copies of the command with its shared libraries, of the Go module around
the working directory (without .git and files above 16 MiB), of what -file
names, and of the host's cryptsetup, dmsetup, e2fsprogs, fio, stress-ng, busybox
and the like, if there are such.

# Disks

-disk 2G,1T attaches new, empty, sparse disks of these sizes, up to eight; -disk
/a/path uses that file and keeps it. TRUSTED_STORE_DISKS holds their devices,
separated by colons. New ones lie without a name in the cache directory, so that
nothing is left when the guest ends, however it ends. Killing the guest is a power
cut: what the command had not synchronised is lost.

# Environment

The command gets the caller's environment, with these changed:

	TRUSTED_STORE_BED    uml or qemu: tests that need a kernel run when it is set
	TRUSTED_STORE_DISKS  devices of the raw disks, in the order of -disk
	TRUSTED_STORE_MODULES
	                     directory of the kernel's modules, in the uml bed only
	DM_DISABLE_UDEV      1, since there is no udev
	TMPDIR               /tmp
	PATH                 with the directories for administration, and with those of
	                     cryptsetup-newest, containerd-1.7 and containerd-2
	HOME                 /root, if the caller has none

Every flag has a variable that sets it for a whole run: GUEST_BED, GUEST_CPUS,
GUEST_MEM, GUEST_DISK, GUEST_THROTTLE, GUEST_IOPS, GUEST_TIMEOUT, GUEST_ACCEL,
GUEST_OUT, GUEST_FILE, GUEST_LOG, GUEST_CACHE, GUEST_KERNEL, GUEST_ARCH,
GUEST_LEAKS.

# Exit status

The command's; 128 and the signal's number when a signal ended it. Of the tool's
own there are three:

	123  the command succeeded, and left a mapping, a loop device, a mount or a
	     key of a volume behind, which are listed (-leaks=false: only listed)
	124  the guest was killed after -timeout
	125  the guest could not start, died, or could not report

A guest whose init does not answer is killed and followed by another, twice at
most: nothing has run in it. One that dies is shown with the last lines of its
console; -log keeps all of it. SIGINT, SIGTERM and SIGHUP end the guest, SIGQUIT is
passed to the command (a Go test prints its goroutines). Should the tool itself be
killed, the kernel dies with it.
*/
package main
