// Package storagetest gives tests of storage code a real kernel to work on: disks
// on loop devices, a host that tampers with them, disks that fail, and the proof
// that nothing was left behind.
//
//	func TestStore(t *testing.T) {
//		storagetest.Kernel(t, "crypt", "integrity")
//		storagetest.CheckLeaks(t)
//		disk := storagetest.Disk(t, 64<<20)
//		…
//		storagetest.FlipBit(t, disk, offset)
//	}
//
// # Where such tests run
//
// They need root and device-mapper, which most machines lack. [Kernel] skips a
// test unless the environment variable TRUSTED_STORE_BED says that the machine
// may be used: "uml" and "qemu" are set inside the guests that `go tool guest`
// starts, "host" is set by a person on a machine that may be broken. Inside a
// bed a feature that the kernel lacks fails the test: nothing is skipped
// silently.
//
// # What works in parallel
//
// Disks and faults have names of their own and may be used by parallel tests.
// [CheckLeaks], [Main], [DropBuffers] and [KernelLog] look at the whole machine:
// use them in tests that run alone, or once for a package.
//
// Sizes and offsets are bytes. Every function fails its test instead of
// returning an error.
package storagetest
