package storage

import (
	"errors"
	"fmt"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// describe fills in what the live tables say, and lists where they are not
// those of the profile. A layer with a problem keeps no promise.
func (l *live) describe(s *Status) {
	encrypts, authenticates := false, l.integrity != nil && s.sound(l.describeIntegrity)
	if l.crypt == nil {
		s.State = StateIncomplete
		s.addProblem("the encryption layer is missing")
		if l.integrity == nil {
			s.addProblem("the integrity layer is missing")
		}
	} else {
		encrypts = s.sound(l.describeCrypt)
	}
	whole := s.sound(l.describeDevice)
	if !encrypts {
		return
	}
	s.Promises = append(s.Promises, Confidentiality)
	if authenticates && whole {
		s.Promises = append(s.Promises, IntegrityOfBlocks)
		if s.TagMemory != nil {
			s.Promises = append(s.Promises, Freshness)
		}
	}
	if l.kind() == cryptsetup.AEAD {
		s.Promises = append(s.Promises, HiddenRewrites)
	}
}

// sound reports whether describe finds no problem.
func (s *Status) sound(describe func(*Status)) bool {
	before := len(s.Problems)
	describe(s)
	return len(s.Problems) == before
}

func (l *live) describeCrypt(s *Status) {
	s.Number = l.crypt.info.Device.String()
	s.UUID = l.crypt.volume.String()
	if !l.crypt.usable(s, "encryption") {
		return
	}
	live, ok := l.crypt.table[0].Target.(dm.Crypt)
	if !ok {
		s.addProblem("encryption: the live table is %q", l.crypt.table[0])
		return
	}
	want := l.profileCrypt()
	want.Speed = live.Speed // no matter of what is promised
	s.Sectors, s.SectorSize = l.crypt.table[0].Length, want.SectorSize
	if (dm.Table{{Length: s.Sectors, Target: want}}).Matches(l.crypt.table) != nil {
		s.addProblem("encryption: the live table is %q, the profile's is %q", live.Params(), want.Params())
	}
	s.Cipher, s.KeyBits, s.KeyLocation = cipherName(live), 8*live.KeySize, keyLocation(live)
}

// profileCrypt is the table that Create and Open load over the devices that this
// layer has.
func (l *live) profileCrypt() dm.Crypt {
	want := tableCipher(l.kind())
	want.KeyDescription = cryptsetup.KeyDescription(l.crypt.volume)
	if l.integrity == nil {
		want.Offset = dataSector
	}
	if len(l.crypt.deps) > 0 {
		want.Device = l.crypt.deps[0]
	}
	return want
}

// kind is the integrity of the volume that is live: over an integrity layer that of
// the cipher.
func (l *live) kind() Integrity {
	switch {
	case l.integrity == nil:
		return NoIntegrity
	case l.crypt != nil && l.crypt.cipher() == dm.AEGIS128Random:
		return cryptsetup.AEAD
	}
	return HMACSHA256
}

// cipher is 0 where the table is not a single line of encryption.
func (l *layer) cipher() dm.Cipher {
	if len(l.table) != 1 {
		return 0
	}
	target, _ := l.table[0].Target.(dm.Crypt)
	return target.Cipher
}

func (l *live) describeIntegrity(s *Status) {
	s.Integrity, s.Tags = "hmac(sha256)", "device"
	if l.kind() == cryptsetup.AEAD {
		s.Integrity = cryptsetup.AEAD.String()
	}
	if !l.integrity.usable(s, "integrity") {
		return
	}
	live, ok := l.integrity.table[0].Target.(dm.Integrity)
	if !ok {
		s.addProblem("integrity: the live table is %q", l.integrity.table[0])
		return
	}
	s.Journal = map[byte]string{'J': "journaled", 'D': "direct"}[live.Mode]
	if s.Journal == "" {
		s.Journal = "mode " + string(rune(live.Mode))
		s.addProblem("integrity: the live table has %s, the profile's J or D", s.Journal)
	}
	start := uint64(dataSector)
	if device, separate := l.integrity.tagMemoryOf(); separate {
		start = 0
		l.describeTagMemory(s, device)
	}
	if live.Offset != start || live.TagSize != integrity.TagSize {
		s.addProblem("integrity: the live table has offset %d and tags of %d bytes, the profile %d and %d",
			live.Offset, live.TagSize, start, integrity.TagSize)
	}
}

// describeTagMemory believes in freshness only where the tags are seen to be in
// memory.
func (l *live) describeTagMemory(s *Status, device dm.Device) {
	s.Tags = "other device"
	memory, err := integrity.OpenTagMemory(device)
	if err != nil {
		s.addProblem("integrity: the tags are on device %v: %v", device, err)
		return
	}
	taken, most, err := memory.Bytes()
	if err := errors.Join(err, memory.Close()); err != nil {
		s.addProblem("integrity: %v", err)
		return
	}
	s.Tags, s.TagMemory = "memory", &TagMemory{taken, most}
}

// usable notes what keeps a layer from working.
func (l *layer) usable(s *Status, what string) bool {
	problem := ""
	switch {
	case !l.info.Live || len(l.table) == 0:
		problem = "has no live table"
	case l.info.Suspended:
		problem = "is suspended"
	case len(l.table) > 1 && what != "data":
		problem = "has more than one table line"
	default:
		return true
	}
	s.State = StateIncomplete
	s.addProblem("the %s layer %s", what, problem)
	return false
}

func (s *Status) addProblem(format string, args ...any) {
	s.Problems = append(s.Problems, fmt.Sprintf(format, args...))
}

// cipherName prints a cipher as cryptsetup does.
func cipherName(live dm.Crypt) string {
	switch live.Cipher {
	case dm.AuthencHMACSHA256XTSPlain64:
		return HMACSHA256.Cipher()
	case dm.AEGIS128Random:
		return cryptsetup.AEAD.Cipher()
	}
	return live.CipherName()
}

func keyLocation(live dm.Crypt) string {
	if live.Foreign.KeyInTable {
		return "dm-crypt"
	}
	return "keyring"
}
