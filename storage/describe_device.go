package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// describeDevice follows the layers down to the device.
func (l *live) describeDevice(s *Status) {
	bottom := l.crypt
	if l.integrity != nil {
		bottom = l.integrity
	}
	var number dm.Device
	if bottom != nil && len(bottom.deps) > 0 {
		number = bottom.deps[0]
	}
	s.Offset = dataSector
	if l.data != nil && l.data.usable(s, "data") {
		if bottom != nil && !slices.Contains(bottom.deps, l.data.info.Device) {
			s.addProblem("mapping %s is not what %s is over", l.data.info.Name, bottom.info.Name)
		}
		number = l.describeData(s)
	}
	if number == (dm.Device{}) {
		return
	}
	s.describeNumber(number)
}

func (s *Status) describeNumber(number dm.Device) {
	s.DeviceNumber = number.String()
	if real, err := os.Readlink("/sys/dev/block/" + number.String()); err == nil {
		s.Device = filepath.Join("/dev", filepath.Base(real))
	}
	s.DeviceBytes = sysfsSize(number)
}

// describeData returns the device, and notes a table that is none of ours.
func (l *live) describeData(s *Status) (device dm.Device) {
	last, _ := l.data.table[len(l.data.table)-1].Target.(dm.Linear)
	if len(l.data.table) == 1 {
		s.Offset = last.Offset
		return last.Device
	}
	if profileData(l.data.table, last.Device).Matches(l.data.table) != nil {
		s.addProblem("data: the live table is %q, which has not just the superblock in memory", l.data.table)
	}
	return last.Device
}

// profileData is the table that Create and Open load, with the memory that this
// one has: for the superblock, or also for the journal of an ephemeral volume.
func profileData(live dm.Table, device dm.Device) dm.Table {
	memory, _ := live[1].Target.(dm.Linear)
	length := uint64(integrity.SuperblockSize / sectorSize)
	if live[1].Length != length {
		length += integrity.JournalSection
	}
	if memory.Device == device {
		return nil
	}
	end := dataSector + length
	return dm.Table{
		{Length: dataSector, Target: dm.Linear{Device: device}},
		{Start: dataSector, Length: length, Target: dm.Linear{Device: memory.Device}},
		{Start: end, Length: live.Sectors() - end, Target: dm.Linear{Device: device, Offset: end}},
	}
}

// sysfsSize returns the size of a device in bytes, 0 where the kernel does not
// say.
func sysfsSize(number dm.Device) uint64 {
	text, err := os.ReadFile("/sys/dev/block/" + number.String() + "/size")
	if err != nil {
		return 0
	}
	var sectors uint64
	if _, err := fmt.Sscan(string(text), &sectors); err != nil {
		return 0
	}
	return sectors * sectorSize
}
