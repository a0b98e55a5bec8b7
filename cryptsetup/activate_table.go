package cryptsetup

import (
	"fmt"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// sectorsPerBlock is the size of an encryption sector, in units of 512 bytes.
const sectorsPerBlock = SectorSize / 512

// tagSize is the size of the tag of one encryption sector, in bytes.
const tagSize = 32

// table builds the table of constants and of the mapping's numbers. No byte of a
// header gets into it.
func (m Mapping) table() (dm.Table, error) {
	switch {
	case m.Device == nil:
		return nil, fmt.Errorf("%w: no device", ErrMapping)
	case !m.Integrity.valid():
		return nil, fmt.Errorf("%w: integrity %v", ErrMapping, m.Integrity)
	case m.Sectors == 0 || m.Sectors%sectorsPerBlock != 0 || m.Offset%sectorsPerBlock != 0:
		return nil, fmt.Errorf("%w: %d sectors at %d, want multiples of %d, and some",
			ErrMapping, m.Sectors, m.Offset, sectorsPerBlock)
	}
	number, err := dm.DeviceOf(m.Device)
	if err != nil {
		return nil, err
	}
	target := dm.Crypt{
		Cipher:         dm.XTSPlain64,
		KeySize:        VolumeKeySize(m.Integrity),
		KeyDescription: m.keyDescription(),
		Device:         number,
		Offset:         m.Offset,
		SectorSize:     SectorSize,
		Speed:          dm.CryptSpeed{NoWriteWorkqueue: m.NoWriteWorkqueue},
	}
	if m.Integrity == HMACSHA256 {
		target.Cipher = dm.AuthencHMACSHA256XTSPlain64
		target.IntegrityTagSize = tagSize
	}
	return dm.Table{{Length: m.Sectors, Target: target}}, nil
}
