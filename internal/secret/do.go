//go:build goexperiment.runtimesecret

package secret

import "runtime/secret"

// Do runs f and then erases the registers and the stack that it used, and each
// of its heap allocations once the garbage collector finds it unused. It is for
// f that call packages whose memory cannot be reached. In a program that was
// built without GOEXPERIMENT=runtimesecret it only runs f.
func Do(f func()) { secret.Do(f) }
