package main

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
		experiments: []string{"usable", "full", "memory", "throughput", "random", "journals", "profile"}},
	{name: "qemu", bed: "qemu", title: "QEMU (emulated), 4 CPUs", cpus: 4, memory: "2G", disks: allDisks,
		experiments: []string{"usable", "full", "memory", "throughput", "random", "profile"}},
	{name: "qemu-throttled", bed: "qemu", title: "QEMU, 4 CPUs, disk at half the speed of the encryption", cpus: 4, memory: "2G",
		disks: "2500M", shortDisks: "512M", throttled: true, experiments: []string{"throughput", "random", "journals"}},
}

func runNames() []string {
	var names []string
	for _, r := range runs {
		names = append(names, r.name)
	}
	return names
}
