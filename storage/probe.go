package storage

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/blockdev"
)

// answerTime is how long a device may take to answer a read before its store has a
// problem: longer than one that is only busy needs.
const answerTime = 10 * time.Second

// probe is a read of a device under way.
type probe struct {
	done chan struct{}
	err  error // once done is closed
}

// probes has those under way by the device's number: a device that never answers
// keeps one thread of the process, however often it is asked after.
var probes = struct {
	sync.Mutex
	running map[string]*probe
}{running: map[string]*probe{}}

// probeDevice reads a block of the device. What it holds does not matter: a device
// that failed or is gone says so, whatever layer is above it.
func (s *Status) probeDevice(ctx context.Context) {
	if s.DeviceNumber == "" {
		return
	}
	p := startProbe(s.DeviceNumber, int64(s.Offset*sectorSize))
	late := time.NewTimer(answerTime)
	defer late.Stop()
	select {
	case <-p.done:
		if p.err != nil {
			s.addProblem("the device fails: %v", p.err)
		}
	case <-late.C:
		s.addProblem("the device has not answered a read for %v", answerTime)
	case <-ctx.Done():
		s.addProblem("the device has not answered a read yet")
	}
}

func startProbe(number string, offset int64) *probe {
	probes.Lock()
	defer probes.Unlock()
	if p := probes.running[number]; p != nil {
		return p
	}
	p := &probe{done: make(chan struct{})}
	probes.running[number] = p
	go func() {
		p.err = readBlock(number, offset)
		probes.Lock()
		delete(probes.running, number)
		probes.Unlock()
		close(p.done)
	}()
	return p
}

// readBlock reads past the page cache, which may know what the device no longer does.
func readBlock(number string, offset int64) error {
	dev, err := blockdev.Open(number, blockdev.Options{ReadOnly: true, Direct: true})
	if err != nil {
		return err
	}
	block, err := unix.Mmap(-1, 0, blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return errors.Join(err, dev.Close())
	}
	_, err = dev.File().ReadAt(block, offset)
	return errors.Join(err, unix.Munmap(block), dev.Close())
}
