package main

import (
	"fmt"
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
	env      []string // of go test, beside the caller's
	weight   int64    // CPUs of the host that it keeps busy
}

// place is a kernel and the machine that it runs on. The host is the empty one.
type place struct{ bed, kernel, arch, cpus string }

// flags are those of the guest.
func (p place) flags() []string {
	return []string{"-bed", p.bed, "-kernel", p.kernel, "-arch", p.arch, "-cpus", p.cpus}
}

// elsewhere tells whether test programs must be built for another architecture.
func (p place) elsewhere() bool { return p.arch != "" && p.arch != runtime.GOARCH }

// notAsked are the tests that ask the kernel nothing that shorter ones do not ask.
// In `make kernels` they run on four kernels, and every other test on each, so that a
// new one cannot be forgotten. A test of this package holds the names here to those
// of the tests.
var notAsked = []string{
	// Ends of processes, and what a person sees of them.
	"TestInterruptedCreateAtAnyMoment", "TestInterruptedCreateLeavesNothing", "TestInterruptedPull", "TestInterruptedPullOfTwo", "TestKernelScript",
	"TestKilledCreateIsCleanedUp", "TestKilledPull", "TestKilledService", "TestKilledWhileOpening", "TestProgressBar",
	// What changes bytes of a header, and asks the kernel for a store as every test does.
	"TestKeyIsChanged", "TestLastKeyIsRemovedOnDemand", "TestRecover", "TestVolumeWithoutTokenIsAuthenticated",
	// Images of containers, from registries and by snapshotters.
	"TestAgentsTranscript", "TestEncryptedLayers", "TestHostileArchives", "TestHostileImages", "TestMemoryOfAPull", "TestNamesCostLittle",
	"TestPull", "TestStoreFillsUp", "TestTextOfARegistry", "TestUndecryptableLayers",
	"TestSnapshotterEndsInAnOverlay", "TestSnapshotterHandsOver", "TestSnapshotterMisconfigured",
	"TestContainerdHandsOver", "TestContainerdNeedsEachLine",
	// Loads, and devices of terabytes.
	"TestGrowAsUsedOnSparseDevice", "TestGrowsToTheDevice", "TestReplaysUnderLoadFourCPUs", "TestSeedGrowsBeyondEightTerabytes", "TestSizes", "TestTagBudget",
	"TestTagsInMemoryGrowAsUsed", "TestTagsUnderPressure", "TestTwoGrowersAndAnotherUnderLoad", "TestWriterNeverSeesALaggingSize",
	// How fast it is.
	"TestSides",
	// What cryptsetup accepts as a header.
	"TestCryptsetupAcceptsWhatTheProfileAccepts",
}

// slowEmulated are those of the others that take minutes in a machine of another
// architecture.
var slowEmulated = []string{
	"TestCreateUndoesEveryStep", "TestFourCPUsWhileGrowing", "TestFourCPUsWriterDoesNotHoldGrowthUp", "TestGrowthCutOff",
	"TestGrowthGoesOnAfterFailedClose", "TestGrowthKilled", "TestGrowthStoppedByClose", "TestRandomSuperblocksAndJournals",
	"TestOneGrower", "TestVerifyWhileInUse", "TestOpenOnALargerDevice", "TestOpenTheirsOnALargerDevice", "TestOddSizes",
	"TestResizeEndsAfterEveryStep", "TestResizeKilled", "TestResizePowerCut", "TestResizeWhileInUse", "TestSwapUnderPressure",
}

// onEveryCPU are, in `make test`, the tests on another architecture: of bytes and
// numbers, and one of each thing that a store does.
var onEveryCPU = []string{
	"EphemeralStore", "TagsInMemory", "OneVolumeKey", "Replay", "FlippedBit", "MovedBlocks", "SwappedVolume", "OldHeader",
	"VerifyAll", "VerifyFindsWhatWasChanged", "GrowNotPrepared", "TagsInMemoryGrow", "CryptsetupOpensOurs", "WeOpenCryptsetups",
	"Lifecycle", "Params", "IntegrityStatus", "FormatAndActivate", "ActivateAuthenticated", "TamperingIsDetected", "AuthenticatedVolume",
}

// onEveryKernel are, in `make test`, the tests on another kernel of the same
// architecture, beside those of onEveryCPU: of what kernels do differently.
var onEveryKernel = []string{
	"StatusBesideOtherVolumes", "StatusBesideOtherMappings", "SameMappingAsCryptsetup", "CryptsetupKnowsOurMapping", "WithoutIntegrity",
	"MountFlags", "MinimalJournal", "KernelIsAnsweredDifferently", "OpenUndoesEveryStep", "GrowthKilled",
	"TagsInMemoryMountedAgain", "CryptsetupClosesTagsInMemory", "NoKeyStaysInRegisters", "NoKeyStaysInMemory", "CountersCount",
	"ForgedSuperblock", "DeviceChangesAfterItWasJudged", "ResizeWhileInUse", "OpenOnALargerDevice",
	"NothingComesOverTheDataWithoutHeader", "GrowerThatWaitsStandsBack", "LayoutIsTheKernels", "ActivateReadOnly", "LongAnswers", "Targets", "RemoveWaitsForTheLastUser", "HeldKey", "KeyLivesForTheCall",
	"AttachAndDetach", "AttachMemoryFile", "KernelMountsFillsAndCountsAsPlanned", "SeedGrowsWhileInUse",
}

// ofBytes are those of onEveryCPU that another kernel of the same architecture has
// nothing to say to, and that take long where to start a program does.
var ofBytes = []string{"TestWeOpenCryptsetups", "TestCryptsetupOpensOurs", "TestAuthenticatedVolume"}

// these is the pattern of tests with these names, and of the ones that say
// themselves where they belong.
func these(tests ...[]string) string {
	return "OnEveryCPU|BetweenCPUs|^Test(" + strings.Join(slices.Concat(tests...), "|") + ")$"
}

// asked leaves a run the tests of what the kernel is asked.
func (r run) asked() run {
	return r.without(notAsked)
}

func (r run) without(tests []string) run {
	r.args = append(slices.Clone(r.args), "-skip", "^("+strings.Join(tests, "|")+")$")
	return r
}

func (r run) only(pattern string) run {
	r.args = append(slices.Clone(r.args), "-run", pattern)
	return r
}

// everyday is the kernel on which `make test` runs everything.
const everyday = "newest"

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

// foreign runs packages on another architecture, which hardly uses a second CPU.
func foreign(s settings, kernel, arch string, packages []string) run {
	r := qemu(s, kernel, arch, "2", packages)
	r.weight = 1
	return r
}

// below are the packages that make a store, without what is built on them.
var below = []string{"./storage", "./internal/dm", "./internal/keyring", "./internal/loop", "./internal/blockdev", "./integrity", "./cryptsetup", "./mkfs"}

// formats are those of them that read and write what other machines wrote.
var formats = []string{"./storage", "./internal/dm", "./integrity", "./cryptsetup", "./mkfs"}

// narrow runs tests of bytes and numbers on the host where a word has 32 bits.
func narrow() run {
	return run{name: "host-386", packages: formats, weight: 1, env: []string{"GOARCH=386", "CGO_ENABLED=0"}}.only("OnEveryCPU")
}

// travel carries one volume through machines of all kinds of CPUs, and back to the
// first one.
func travel(s settings) (runs []run) {
	var been []string
	for i, arch := range []string{"s390x", "amd64", "arm64", "s390x"} {
		r := qemu(s, "6.12", arch, "2", []string{"./storage"}).only("^TestVolumeTravelsBetweenCPUs$")
		r.name = fmt.Sprintf("travel-%d-%s", i+1, arch)
		r.flags = []string{"-disk", s.volume}
		r.env = []string{"TRUSTED_STORE_TRAVEL=" + strings.Join(been, ",")}
		runs, been = append(runs, r), append(been, arch)
	}
	return runs
}

// plans are what can be asked for.
var plans = map[string]func(settings) []run{
	"test": func(s settings) []run {
		runs := []run{{name: "host", packages: []string{"./..."}, weight: 1}, uml(s, everyday).without([]string{"TestTagsUnderPressure"})}
		for _, kernel := range []string{"6.1", "6.12", "newest"} {
			if kernel != everyday {
				r := uml(s, kernel).only(these(onEveryCPU, onEveryKernel)).without(ofBytes)
				r.packages = below
				runs = append(runs, r)
			}
		}
		for _, arch := range []string{"arm64", "s390x"} {
			runs = append(runs, foreign(s, "6.12", arch, formats).only(these(onEveryCPU)))
		}
		runs = append(runs, narrow(), qemu(s, "newest", "amd64", "4", s.cpusTests).only("CPUs"))
		return slices.Concat(runs, travel(s), tight(s))
	},
	"kernels": func(s settings) []run {
		runs := []run{
			uml(s, "6.1"), uml(s, "6.12"), uml(s, "newest"),
			qemu(s, "newest", "amd64", "4", s.kernelTests),
		}
		runs = append(runs, tight(s)...)
		runs = append(runs, narrow(),
			qemu(s, "6.12", "amd64", "4", s.kernelTests).asked(),
			foreign(s, "6.12", "arm64", below).without(slices.Concat(notAsked, slowEmulated)),
			foreign(s, "6.12", "s390x", below).without(slices.Concat(notAsked, slowEmulated)))
		return append(runs, travel(s)...)
	},
}

// tight are loads on guests that have next to no memory.
func tight(s settings) []run {
	var runs []run
	for i, load := range []string{"FourCPUsWhileGrowing", "TagsUnderPressure"} {
		r := qemu(s, "newest", "amd64", "4", []string{"./storage"}).only(load)
		r.name += fmt.Sprintf("-320M-%d", i+1)
		r.flags = []string{"-mem", "320M", "-disk", "6G"}
		runs = append(runs, r)
	}
	return runs
}
