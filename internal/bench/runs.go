package main

import "slices"

// run is one boot of one bed with some experiments.
type run struct {
	name        string
	bed         string
	title       string // for people
	cpus        int
	memory      string
	disks       string // for the guest tool
	shortDisks  string // the same for the short form, if others
	throttled   bool   // disks at half of what the bed before could encrypt
	bytes       uint64 // a second that a disk takes, if not throttled so; 0: any number
	requests    uint   // a second that a disk takes, of any size; 0: any number
	experiments []string
}

// The sizes at which stores are made; workSize is where everything else is
// measured, if there is such a disk.
const (
	workSize = 2500 << 20
	bigSize  = 56 << 30
	wait1    = 1 << 40 // the largest that is grown to its full size
)

const allDisks = "256M,2500M,56G,1T,15T"

// runs are in the order in which they must be made: the throttled one needs a
// rate from the one before.
var runs = []run{
	{name: "uml", bed: "uml", title: "User-Mode Linux, 1 CPU", memory: "2G", disks: allDisks,
		experiments: []string{"usable", "full", "memory", "throughput", "random", "journals", "profile", "ciphers"}},
	{name: "qemu", bed: "qemu", title: "QEMU (emulated), 4 CPUs", cpus: 4, memory: "2G", disks: allDisks,
		experiments: []string{"usable", "full", "memory", "throughput", "random", "profile"}},
	{name: "qemu-throttled", bed: "qemu", title: "QEMU, 4 CPUs, disk at half the speed of the encryption", cpus: 4, memory: "2G",
		disks: "2500M", shortDisks: "512M", throttled: true, experiments: []string{"throughput", "random", "journals"}},
	{name: "qemu-requests", bed: "qemu", title: "QEMU, 4 CPUs, disk of 500 requests a second", cpus: 4, memory: "2G",
		disks: "2500M,16G", shortDisks: "512M,16G", bytes: 12_500_000, requests: 500, experiments: []string{"requests"}},
}

// runsWith are those that make an experiment.
func runsWith(experiment string) []run {
	return slices.DeleteFunc(slices.Clone(runs), func(r run) bool { return !slices.Contains(r.experiments, experiment) })
}

func runNames() []string {
	var names []string
	for _, r := range runs {
		names = append(names, r.name)
	}
	return names
}
