package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
)

// sample is one measured value.
type sample struct {
	Run     string  `json:"run"`            // which bed, and how: "uml", "qemu", "qemu-throttled"
	Measure string  `json:"measure"`        // what: "usable", "write", …
	Side    string  `json:"side"`           // of what
	Size    uint64  `json:"size,omitempty"` // of the disk in bytes
	Value   float64 `json:"value"`
}

// bedInfo says where and when samples were taken.
type bedInfo struct {
	Run      string  `json:"run"`
	Date     string  `json:"date"`
	Kernel   string  `json:"kernel"`
	CPUs     int     `json:"cpus"`
	Memory   uint64  `json:"memory_bytes"`
	Throttle uint64  `json:"throttle_bytes_per_second,omitempty"`
	Requests uint    `json:"throttle_requests_per_second,omitempty"`
	Short    bool    `json:"short,omitempty"`
	Seconds  float64 `json:"seconds"` // how long all of it took
	Host     string  `json:"host"`    // processor, CPUs and kernel of the machine
	Load     string  `json:"load"`    // its load average when the run began
	Tools    string  `json:"tools"`   // versions of what it is compared with
}

// line is one line of output of the half inside: either, not both.
type line struct {
	Info   *bedInfo `json:"info,omitempty"`
	Sample *sample  `json:"sample,omitempty"`
}

// results is docs/performance.json.
type results struct {
	Runs    []bedInfo `json:"runs"`
	Samples []sample  `json:"samples"`
}

func loadResults(path string) (*results, error) {
	r := &results{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(text, r)
}

func (r *results) save(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// add takes the samples of one run in. Older ones of the same measure go.
func (r *results) add(info bedInfo, samples []sample) {
	if len(samples) == 0 {
		return
	}
	measured := map[string]bool{}
	for _, s := range samples {
		measured[s.Measure] = true
	}
	r.Samples = slices.DeleteFunc(r.Samples, func(s sample) bool {
		return s.Run == info.Run && measured[s.Measure]
	})
	r.Samples = append(r.Samples, samples...)
	r.Runs = slices.DeleteFunc(r.Runs, func(i bedInfo) bool { return i.Run == info.Run })
	r.Runs = append(r.Runs, info)
}

// of returns the values of one cell, in the order in which they were measured;
// of three or more without the first, for which the host had to allocate blocks.
func (r *results) of(run, measure, side string, size uint64) []float64 {
	var values []float64
	for _, s := range r.Samples {
		if s.Run == run && s.Measure == measure && s.Side == side && (size == 0 || s.Size == size) {
			values = append(values, s.Value)
		}
	}
	if len(values) > 2 {
		values = values[1:]
	}
	return values
}

// size is that of the disk on which something was measured.
func (r *results) size(run, measure string) uint64 {
	i := slices.IndexFunc(r.Samples, func(s sample) bool { return s.Run == run && s.Measure == measure })
	if i < 0 {
		return 0
	}
	return r.Samples[i].Size
}

// run returns what is known of a run, nil when there was none.
func (r *results) run(name string) *bedInfo {
	i := slices.IndexFunc(r.Runs, func(b bedInfo) bool { return b.Run == name })
	if i < 0 {
		return nil
	}
	return &r.Runs[i]
}
