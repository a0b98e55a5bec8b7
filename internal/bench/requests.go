package main

import (
	"context"
	"errors"
	"os/exec"
)

// What is measured where a disk takes few requests, of whatever size.
const (
	requestsWrite  = "requests-write"
	requestsRandom = "requests-random"
	requestsSynced = "requests-synced"
	requestsDevice = "requests-device"
)

// requests compares where tags are kept, on a disk that is limited in requests as
// those of clouds are: there a tag costs as much as a block. Within one file the
// tags of all blocks fit into the kernel's buffers; of a device much larger than
// the memory they do not, and a write reads tags first.
func requests(ctx context.Context, in *inside) error {
	if _, err := exec.LookPath("fio"); err != nil {
		say("requests: no fio here, left out")
		return nil
	}
	d, err := in.workDisk()
	if err != nil {
		return err
	}
	sides := []side{in.grown(), in.tagged(true)}
	err = in.turns(ctx, sides, d.bytes, func(s side) (map[string]float64, error) { return in.requestsFile(ctx, s, d) })
	large := in.disks[len(in.disks)-1]
	return errors.Join(err, in.turns(ctx, sides, large.bytes, func(s side) (map[string]float64, error) {
		return in.requestsDevice(ctx, s, large)
	}))
}

func (in *inside) requestsFile(ctx context.Context, s side, d disk) (map[string]float64, error) {
	values := map[string]float64{}
	_, err := in.with(ctx, s, d, in.mountPoint(), func() (err error) {
		name := in.mountPoint() + "/random"
		if values[requestsWrite], err = writeRate(name, in.plan.scattered); err != nil {
			return err
		}
		if values[requestsRandom], err = in.fio(ctx, randomWrite, name, in.plan.scattered, "--end_fsync=1"); err != nil {
			return err
		}
		values[requestsSynced], err = in.fio(ctx, randomWrite, name, in.plan.scattered, "--fsync=1")
		return err
	})
	return values, err
}

func (in *inside) requestsDevice(ctx context.Context, s side, d disk) (map[string]float64, error) {
	values := map[string]float64{}
	_, err := in.with(ctx, s, d, "", func() (err error) {
		// Less than either store has of the device.
		size := int64(d.bytes-d.bytes/32) &^ (blockSize - 1)
		values[requestsDevice], err = in.fio(ctx, randomWrite, s.device(d), size, "--end_fsync=1")
		return err
	})
	return values, err
}
