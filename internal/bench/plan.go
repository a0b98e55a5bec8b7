package main

import "time"

// plan says how much of each thing is done in one run.
type plan struct {
	repetitions int           // at most
	budget      time.Duration // of one side at one size; one repetition is always made
	file        int64         // bytes of the one large file
	files       int           // small files
	layers      int64         // bytes of layers, to see what the journals cost
	fio         time.Duration // of each kind of random access
	scattered   int64         // bytes of the file for these where requests are limited
	wipe        uint64        // the disk that is wiped; 0: none
	costly      uint64        // the disk for the default KDF, which takes as long on any; 0: none
	peer        uint64        // largest disk for the peer's recipe
	full        uint64        // largest disk that is grown to its full size
}

// Forms of a run.
const (
	fullForm  = "full"
	shortForm = "short" // minutes
	tinyForm  = "tiny"  // only to see that the program works
)

// planFor chooses by how fast a bed is: User-Mode Linux encrypts about 100 MB/s,
// QEMU without hardware help about 14 MB/s.
func planFor(run, form string) plan {
	p := plan{repetitions: 6, budget: 2 * time.Minute, file: 1 << 30, files: 100_000, layers: 512 << 20,
		fio: 20 * time.Second, scattered: 300 << 20, wipe: workSize, costly: workSize, peer: bigSize, full: wait1}
	if form == shortForm {
		p = plan{repetitions: 4, budget: 28 * time.Second, file: 128 << 20, files: 5_000, layers: 160 << 20,
			fio: 2 * time.Second, scattered: 300 << 20, wipe: workSize, costly: workSize, peer: bigSize, full: bigSize}
	}
	if form == tinyForm {
		return plan{repetitions: 1, file: 4 << 20, files: 100, layers: 4 << 20, fio: time.Second, scattered: 4 << 20, peer: 256 << 20, full: 256 << 20}
	}
	if run == "uml" {
		return p
	}
	if run == "qemu-requests" { // a limit is seen after some seconds, and a file takes half a minute
		p.fio = max(p.fio, 8*time.Second)
		if form == fullForm {
			p.budget *= 2
		}
	}
	p.file /= 4
	p.layers /= 4
	if form == shortForm {
		p.peer, p.wipe, p.full, p.files = workSize, 256<<20, workSize, 2_000
	}
	return p
}
