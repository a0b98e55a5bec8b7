package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

const (
	randomWrite = "randwrite"
	randomRead  = "randread"
)

// randomFile is the size of the file that fio works on, in bytes.
const randomFile = 16 << 20

// random measures 4096-byte accesses at random places of a file with fio, four
// at a time, past the page cache.
func random(ctx context.Context, in *inside) error {
	if _, err := exec.LookPath("fio"); err != nil {
		say("random: no fio here, left out")
		return nil
	}
	d, err := in.workDisk()
	if err != nil {
		return err
	}
	p, err := in.peer(cheapSide)
	if err != nil {
		return err
	}
	return in.turns(ctx, []side{in.grown(), in.tagged(true), p, plain(d.bytes), &raw{seed: d.bytes}}, d.bytes, func(s side) (map[string]float64, error) {
		values := map[string]float64{}
		_, err := in.with(ctx, s, d, in.mountPoint(), func() (err error) {
			name := in.mountPoint() + "/random"
			if _, err := writeRate(name, randomFile); err != nil {
				return err
			}
			for _, kind := range []string{randomWrite, randomRead} {
				if values[kind], err = in.fio(ctx, kind, name, randomFile); err != nil {
					return err
				}
			}
			return nil
		})
		return values, err
	})
}

// fio returns the accesses a second that one kind of load reached in so many bytes
// of a file or a device.
func (in *inside) fio(ctx context.Context, kind, file string, size int64, more ...string) (float64, error) {
	args := append([]string{"--name=bench", "--thread", "--filename=" + file, "--rw=" + kind, "--bs=4k",
		fmt.Sprintf("--size=%d", size), "--direct=1", "--ioengine=psync", "--numjobs=4", "--group_reporting",
		"--time_based", fmt.Sprintf("--runtime=%d", int(in.plan.fio.Seconds())), "--output-format=json"}, more...)
	cmd := exec.CommandContext(ctx, "fio", args...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("fio: %w", err)
	}
	var out struct {
		Jobs []struct{ Read, Write struct{ IOPS float64 } }
	}
	if err := json.Unmarshal(text, &out); err != nil || len(out.Jobs) == 0 {
		return 0, errors.Join(fmt.Errorf("fio said nothing that can be read: %.200s", text), err)
	}
	return out.Jobs[0].Read.IOPS + out.Jobs[0].Write.IOPS, nil
}
