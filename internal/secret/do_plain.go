//go:build !goexperiment.runtimesecret || !(amd64 || arm64)

package secret

// Erases says whether [Do] erases what its function used.
const Erases = false

// Do runs f. Built with GOEXPERIMENT=runtimesecret, on amd64 and arm64, it then
// erases what f used: registers, the stack, and by the next garbage collection its
// heap allocations. Without that, pieces of what f computed with stay where the Go
// runtime saves registers, on freed stacks and on the heap.
func Do(f func()) { f() }
