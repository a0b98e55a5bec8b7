//go:build goexperiment.runtimesecret && (amd64 || arm64)

package secret

import "runtime/secret"

// Erases says whether [Do] erases what its function used.
const Erases = true

// Do runs f and then erases the registers and the stack that it used; until it
// returns no goroutine is switched away from f in the middle of a computation. Its
// heap allocations, and the registers that a signal saved meanwhile, are erased by
// the next garbage collection that finds them unused. Goroutines that f starts are
// not covered. Without GOEXPERIMENT=runtimesecret, and on other CPUs than amd64
// and arm64, Do only runs f: see [Erases].
func Do(f func()) { secret.Do(f) }
