package cryptsetup

import (
	"fmt"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// sectorsPerBlock is the size of an encryption sector, in units of 512 bytes.
const sectorsPerBlock = SectorSize / 512

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
	s := m.Integrity.suite()
	target := dm.Crypt{
		Cipher:           s.target,
		KeySize:          s.keySize,
		KeyDescription:   m.keyDescription(),
		Device:           number,
		Offset:           m.Offset,
		SectorSize:       SectorSize,
		IntegrityTagSize: s.tagSize,
		Speed:            dm.CryptSpeed{NoWriteWorkqueue: m.NoWriteWorkqueue},
	}
	return dm.Table{{Length: m.Sectors, Target: target}}, nil
}
