package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// describe fills in what the live tables say, and lists where they are not
// those of the profile.
func (l *live) describe(s *Status) {
	if l.integrity != nil {
		l.describeIntegrity(s)
	}
	if l.crypt == nil {
		s.State = StateIncomplete
		s.Problems = append(s.Problems, "the encryption layer is missing")
		l.describeDevice(s)
		return
	}
	l.describeCrypt(s)
	l.describeDevice(s)
	if s.TagMemory != nil {
		s.Promises = append(s.Promises, Freshness)
	}
}

func (l *live) describeCrypt(s *Status) {
	s.Number = l.crypt.info.Device.String()
	id, err := l.crypt.volumeUUID(cryptPrefix, l.name)
	if err == nil {
		s.UUID = id.String()
	}
	if !l.crypt.usable(s, "encryption") {
		return
	}
	want := l.profileCrypt(id)
	line := l.crypt.table[0]
	want.NoWriteWorkqueue = strings.Contains(line.Params, "no_write_workqueue") // a matter of speed
	s.Sectors, s.SectorSize = line.Length, want.SectorSize
	if (dm.Table{{Length: line.Length, Target: want}}).Matches(l.crypt.table) != nil {
		s.Problems = append(s.Problems, fmt.Sprintf("encryption: the live table is %q, the profile's is %q", withoutKey(line.Params), want.Params()))
	}
	fields := strings.Fields(line.Params)
	if len(fields) < 5 {
		return
	}
	s.Cipher, s.KeyBits, s.KeyLocation = cipherName(fields[0]), keyBits(fields[1]), keyLocation(fields[1])
	s.Promises = append(s.Promises, Confidentiality)
	if strings.Contains(line.Params, "integrity:") {
		s.Promises = append(s.Promises, IntegrityOfBlocks)
	}
}

// profileCrypt is the table that Create and Open load over the devices that this
// layer has.
func (l *live) profileCrypt(id uuid.UUID) dm.Crypt {
	want := dm.Crypt{Cipher: dm.XTSPlain64, KeySize: 64, Offset: dataSector, SectorSize: blockSize,
		KeyDescription: cryptsetup.KeyDescription(id)}
	if l.integrity != nil {
		want.Cipher, want.KeySize = dm.AuthencHMACSHA256XTSPlain64, 96
		want.Offset, want.IntegrityTagSize = 0, integrity.TagSize
	}
	if len(l.crypt.deps) > 0 {
		want.Device = l.crypt.deps[0]
	}
	return want
}

func (l *live) describeIntegrity(s *Status) {
	s.Integrity, s.Tags = "hmac(sha256)", "device"
	if !l.integrity.usable(s, "integrity") {
		return
	}
	fields := strings.Fields(l.integrity.table[0].Params)
	if len(fields) < 4 {
		return
	}
	s.Journal = map[string]string{"J": "journaled", "D": "direct"}[fields[3]]
	if s.Journal == "" {
		s.Journal = "mode " + fields[3]
		s.Problems = append(s.Problems, "integrity: the live table has "+s.Journal+", the profile's J or D")
	}
	start := uint64(dataSector)
	if device, separate := l.integrity.tagMemoryOf(); separate {
		start = 0
		l.describeTagMemory(s, device)
	}
	if fields[1] != fmt.Sprint(start) || fields[2] != fmt.Sprint(integrity.TagSize) {
		s.Problems = append(s.Problems, fmt.Sprintf("integrity: the live table has offset %s and tags of %s bytes, the profile %d and %d",
			fields[1], fields[2], start, integrity.TagSize))
	}
}

// describeTagMemory believes in freshness only where the tags are seen to be in
// memory.
func (l *live) describeTagMemory(s *Status, device dm.Device) {
	s.Tags = "other device"
	memory, err := integrity.OpenTagMemory(device)
	if err != nil {
		s.Problems = append(s.Problems, fmt.Sprintf("integrity: the tags are on device %v: %v", device, err))
		return
	}
	taken, most, err := memory.Bytes()
	if err := errors.Join(err, memory.Close()); err != nil {
		s.Problems = append(s.Problems, fmt.Sprintf("integrity: %v", err))
		return
	}
	s.Tags, s.TagMemory = "memory", &TagMemory{taken, most}
}

// describeDevice follows the layers down to the device.
func (l *live) describeDevice(s *Status) {
	bottom := l.crypt
	if l.integrity != nil {
		bottom = l.integrity
	}
	s.Offset = dataSector
	if l.data != nil && l.data.usable(s, "data") {
		bottom = l.data
		_, _ = fmt.Sscanf(l.data.table[0].Params, "%s %d", new(string), &s.Offset)
	}
	if len(bottom.deps) == 0 {
		return
	}
	number := bottom.deps[0]
	s.DeviceNumber = number.String()
	if real, err := os.Readlink("/sys/dev/block/" + number.String()); err == nil {
		s.Device = filepath.Join("/dev", filepath.Base(real))
	}
	s.DeviceBytes = sysfsSize(number)
}

// usable notes what keeps a layer from working.
func (l *layer) usable(s *Status, what string) bool {
	problem := ""
	switch {
	case !l.info.Live || len(l.table) == 0:
		problem = "has no live table"
	case l.info.Suspended:
		problem = "is suspended"
	case len(l.table) > 1:
		problem = "has more than one table line"
	default:
		return true
	}
	s.State = StateIncomplete
	s.Problems = append(s.Problems, "the "+what+" layer "+problem)
	return false
}

// cipherName prints a cipher as cryptsetup does.
func cipherName(kernel string) string {
	if kernel == dm.AuthencHMACSHA256XTSPlain64.String() {
		return dm.XTSPlain64.String()
	}
	return kernel
}

// The key field of a live crypt table is ":BYTES:logon:DESCRIPTION", or
// hexadecimal digits, which never leave this function.
func keyBits(field string) int {
	var bytes int
	if _, err := fmt.Sscanf(field, ":%d:", &bytes); err == nil {
		return 8 * bytes
	}
	return 4 * len(field)
}

// withoutKey takes a key in digits out of a table's parameters.
func withoutKey(params string) string {
	fields := strings.Fields(params)
	if len(fields) > 1 && !strings.HasPrefix(fields[1], ":") {
		fields[1] = "[redacted]"
	}
	return strings.Join(fields, " ")
}

func keyLocation(field string) string {
	if strings.HasPrefix(field, ":") {
		return "keyring"
	}
	return "dm-crypt"
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
