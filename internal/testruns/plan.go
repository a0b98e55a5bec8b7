package main

import (
	"runtime"
	"slices"
	"strings"
)

// run is the tests of some packages on one kernel.
type run struct {
	name     string
	packages []string
	args     []string // of go test
	where    place
	flags    []string // of the guest, beside its place
	weight   int64    // CPUs of the host that it keeps busy
}

// place is a kernel and the machine that it runs on. The host is the empty one.
type place struct{ bed, kernel, arch, cpus string }

// flags are those of the guest.
func (p place) flags() []string {
	return []string{"-bed", p.bed, "-kernel", p.kernel, "-arch", p.arch, "-cpus", p.cpus}
}

// foreign tells whether test programs must be built for another architecture.
func (p place) foreign() bool { return p.arch != "" && p.arch != runtime.GOARCH }

// notAsked are the tests that ask nothing of the kernel that others do not ask,
// and take long: they run on one kernel alone. Every other test runs on all of
// them. A test of this package holds the names to those of the tests.
var notAsked = []string{}

// asked leaves a run the tests of what the kernel is asked.
func (r run) asked() run {
	if len(notAsked) > 0 {
		r.args = append(slices.Clone(r.args), "-skip", "^("+strings.Join(notAsked, "|")+")$")
	}
	return r
}

func (r run) only(pattern string) run {
	r.args = append(slices.Clone(r.args), "-run", pattern)
	return r
}

// everyday is the kernel on which `make test` runs everything.
const everyday = "6.1"

// uml runs the kernel tests under User-Mode Linux.
func uml(s settings, kernel string) run {
	return run{
		name: "uml-" + kernel, packages: s.kernelTests, weight: 1,
		where: place{"uml", kernel, "amd64", "1"}, flags: []string{"-disk", s.disk},
	}
}

// qemu runs packages in an emulated machine, which is some ten times slower.
func qemu(s settings, kernel, arch, cpus string, packages []string) run {
	return run{
		name: "qemu-" + kernel + "-" + arch, packages: packages, weight: 2,
		where: place{"qemu", kernel, arch, cpus}, flags: []string{"-disk", s.disk},
	}
}

// plans are what can be asked for.
var plans = map[string]func(settings) []run{
	"test": func(s settings) []run {
		runs := []run{{name: "host", packages: []string{"./..."}, weight: 2}, uml(s, everyday)}
		for _, kernel := range []string{"6.1", "6.12", "newest"} {
			if kernel != everyday {
				runs = append(runs, uml(s, kernel).asked())
			}
		}
		runs = append(runs, qemu(s, "newest", "amd64", "4", s.cpusTests).only("CPUs"))
		return append(runs, tight(s)...)
	},
	"kernels": func(s settings) []run {
		runs := []run{
			uml(s, "6.1"), uml(s, "6.12"), uml(s, "newest"),
			qemu(s, "newest", "amd64", "4", s.kernelTests),
		}
		runs = append(runs, tight(s)...)
		return append(runs,
			qemu(s, "6.12", "amd64", "4", s.kernelTests).asked(),
			qemu(s, "6.12", "arm64", "2", s.kernelTests).asked(),
			qemu(s, "6.12", "s390x", "2", s.kernelTests).asked())
	},
}

// tight are loads on guests that have next to no memory.
func tight(s settings) []run {
	var runs []run
	for _, load := range []string{"FourCPUsWhileGrowing", "TagsUnderPressure"} {
		r := qemu(s, "newest", "amd64", "4", []string{"./storage"}).only(load)
		r.name += "-320M"
		r.flags = []string{"-mem", "320M", "-disk", "6G"}
		runs = append(runs, r)
	}
	return runs
}
