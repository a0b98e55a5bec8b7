package cryptsetup

import (
	"fmt"
	"strconv"
)

// limit is the range that a number of a header must be in.
type limit struct {
	field  string
	lo, hi uint64
	hint   string
}

func (l limit) holds(v uint64) bool { return l.lo <= v && v <= l.hi }

// String says what is expected.
func (l limit) String() string {
	if l.lo == l.hi {
		return strconv.FormatUint(l.lo, 10)
	}
	return fmt.Sprintf("%d to %d%s", l.lo, l.hi, l.hint)
}

// Bounds of key derivation, fixed for every profile but for argon2id's memory.
const (
	minIterations = 1000 // cryptsetup's minimum
	maxIterations = 10_000_000
	maxArgon2Time = 16
	minArgon2KiB  = 32 // what 4 threads need at the least
	maxThreads    = 4
)

var iterationsLimit = limit{field: "iterations", lo: minIterations, hi: maxIterations}

func (p Profile) maxArgon2KiB() uint64 {
	bytes := p.MaxArgon2Memory
	if bytes == 0 {
		bytes = DefaultMaxArgon2Memory
	}
	return min(bytes/1024, 1<<32-1)
}

// argon2Limits returns the limits of time, memory (KiB) and cpus.
func (p Profile) argon2Limits() (time, memory, cpus limit) {
	return limit{field: "time", lo: 1, hi: maxArgon2Time},
		limit{field: "memory", lo: minArgon2KiB, hi: p.maxArgon2KiB(),
			hint: " KiB; Profile.MaxArgon2Memory raises the bound"},
		limit{field: "cpus", lo: 1, hi: maxThreads}
}
