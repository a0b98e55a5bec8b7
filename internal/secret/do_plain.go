//go:build !goexperiment.runtimesecret

package secret

// Do runs f. Built with GOEXPERIMENT=runtimesecret it then erases what f used:
// registers, the stack, and each of its heap allocations once the garbage
// collector finds it unused. It is for f that call packages whose memory cannot
// be reached.
func Do(f func()) { f() }
