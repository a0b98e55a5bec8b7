package storagetest

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// FaultKind is what goes wrong.
type FaultKind int

const (
	// FailAll answers reads and writes with an I/O error.
	FailAll FaultKind = iota
	// FailWrites answers writes with an I/O error; reads work.
	FailWrites
	// DropWrites says that writes were done and does not do them.
	DropWrites
	// Slow holds reads and writes back by Fault.Delay.
	Slow
	// Replaced reads and writes the same place of the disk Fault.With: a host
	// that answers differently from now on.
	Replaced
	// Forged reads the same place of the disk Fault.With, says that writes were
	// done and does not do them: a host that has its own there, whatever the
	// guest writes.
	Forged
)

// Fault is one thing that goes wrong in one region of a disk.
type Fault struct {
	Offset, Length int64 // bytes, multiples of 512; Length 0: to the end
	Kind           FaultKind
	Delay          time.Duration
	With           string
}

// Faulty is a device on top of a disk that can be made to fail while it is in
// use.
type Faulty struct {
	name    string
	disk    dm.Device
	sectors uint64
	control *dm.Control
}

// NewFaulty returns a device, without a fault so far, that passes everything to
// the disk. It is gone when the test ends.
func NewFaulty(t testing.TB, disk string) *Faulty {
	t.Helper()
	f := openDirect(t, disk)
	number, err := dm.DeviceOf(f)
	if err != nil {
		t.Fatal(err)
	}
	faulty := &Faulty{
		name:    "storagetest_" + rand.Text()[:8],
		disk:    number,
		sectors: uint64(end(t, f)) / sectorSize,
		control: control(t),
	}
	closeDevice(t, f)
	if _, err := faulty.control.Create(faulty.name, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { faulty.remove(t) })
	faulty.Set(t)
	return faulty
}

const sectorSize = 512

// Path returns the device's path.
func (f *Faulty) Path() string { return dm.Path(f.name) }

// Set replaces all faults by these, which must not overlap. None heals the
// device. What was under way is finished first.
func (f *Faulty) Set(t testing.TB, faults ...Fault) {
	t.Helper()
	if err := f.control.Load(f.name, f.table(t, faults), dm.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.control.Resume(f.name); err != nil {
		t.Fatal(err)
	}
}

// SetSize gives the device that many bytes of the disk, without a fault, while it is in
// use: a host that enlarges a volume.
func (f *Faulty) SetSize(t testing.TB, bytes int64) {
	t.Helper()
	f.sectors = uint64(bytes) / sectorSize
	f.Set(t)
}

func (f *Faulty) table(t testing.TB, faults []Fault) dm.Table {
	t.Helper()
	faults = slices.Clone(faults)
	slices.SortFunc(faults, func(a, b Fault) int { return int(a.Offset - b.Offset) })
	var table dm.Table
	add := func(end uint64, target func(start uint64) dm.Target) {
		if start := table.Sectors(); start < end {
			table = append(table, dm.Line{Start: start, Length: end - start, Target: target(start)})
		}
	}
	healthy := func(start uint64) dm.Target { return dm.Linear{Device: f.disk, Offset: start} }
	for _, fault := range faults {
		start, end := uint64(fault.Offset)/sectorSize, uint64(fault.Offset+fault.Length)/sectorSize
		if fault.Length == 0 {
			end = f.sectors
		}
		if start < table.Sectors() || end > f.sectors {
			t.Fatalf("fault %+v overlaps another or ends behind the disk", fault)
		}
		add(start, healthy)
		add(end, f.target(t, fault))
	}
	add(f.sectors, healthy)
	return table
}

func (f *Faulty) target(t testing.TB, fault Fault) func(start uint64) dm.Target {
	t.Helper()
	other := f.disk
	if fault.Kind == Replaced || fault.Kind == Forged {
		other = numberOf(t, fault.With)
	}
	return func(start uint64) dm.Target {
		switch fault.Kind {
		case FailWrites:
			return dm.Flakey{Device: f.disk, Offset: start, Down: 1, Mode: dm.FlakeyErrorWrites}
		case DropWrites:
			return dm.Flakey{Device: f.disk, Offset: start, Down: 1, Mode: dm.FlakeyDropWrites}
		case Slow:
			return dm.Delay{Device: f.disk, Offset: start, Milliseconds: uint(fault.Delay.Milliseconds())}
		case Replaced:
			return dm.Linear{Device: other, Offset: start}
		case Forged:
			return dm.Flakey{Device: other, Offset: start, Down: 1, Mode: dm.FlakeyDropWrites}
		}
		return dm.Error{}
	}
}

func numberOf(t testing.TB, device string) dm.Device {
	t.Helper()
	f := openDirect(t, device)
	number, err := dm.DeviceOf(f)
	if err != nil {
		t.Fatal(err)
	}
	closeDevice(t, f)
	return number
}

func (f *Faulty) remove(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), detachWait)
	defer cancel()
	if err := f.control.Remove(ctx, f.name); err != nil {
		t.Error(err)
	}
}
