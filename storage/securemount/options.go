package securemount

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/trusted-store/trusted-store/storage"
)

// parser takes the options out of a request, one after the other; what is left
// in the end nobody knows.
type parser struct {
	left     map[string]string
	problems []string
}

func (p *parser) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

func (p *parser) take(name string) (value string, given bool) {
	value, given = p.left[name]
	delete(p.left, name)
	return value, given
}

// choose takes an option that has one of a few values.
func choose[T any](p *parser, name string, absent T, values map[string]T) T {
	value, given := p.take(name)
	if !given {
		return absent
	}
	chosen, known := values[value]
	if !known {
		p.problem("%s %s: expected %s", name, quote(value), oneOf(values))
	}
	return chosen
}

func (p *parser) device(r *Request) {
	id, byID := p.take("deviceId")
	name, byPath := p.take("devicePath")
	switch {
	case byID:
		r.DeviceID = p.deviceID(id)
	case !byPath:
		p.problem("deviceId or devicePath is missing")
	case !canonical(name) || name == "/":
		p.problem("devicePath %s: expected an absolute path without .. and //", quote(name))
	default:
		r.DevicePath = name
	}
}

func (p *parser) deviceID(id string) string {
	major, minor, found := strings.Cut(id, ":")
	a, errA := strconv.ParseUint(major, 10, 12)
	b, errB := strconv.ParseUint(minor, 10, 20)
	if !found || errA != nil || errB != nil {
		p.problem("deviceId %s: expected MAJ:MIN, as in \"8:16\"", quote(id))
		return ""
	}
	return fmt.Sprintf("%d:%d", a, b)
}

// kind reads what is there and what is wanted. Callers of the protocol's first
// version say neither: it could only format, and mount.
func (p *parser) kind(r *Request) {
	_, old := p.left["encryptType"]
	_, said := p.left["sourceType"]
	absent := SourceEncrypted
	switch {
	case old:
		absent = SourceEmpty
	case !said:
		p.problem("sourceType is missing: \"empty\" (the device is formatted) or \"encrypted\" (it is opened)")
	}
	r.Source = choose(p, "sourceType", absent, map[string]Source{"empty": SourceEmpty, "encrypted": SourceEncrypted})
	r.Target = choose(p, "targetType", TargetFilesystem, map[string]Target{"fileSystem": TargetFilesystem, "device": TargetDevice})
}

func (p *parser) encryption(r *Request) {
	none := struct{}{}
	choose(p, "encryptionType", none, map[string]struct{}{"luks2": none})
	choose(p, "encryptType", none, map[string]struct{}{"LUKS": none, "luks": none, "LUKS2": none, "luks2": none})
	r.Integrity = choose(p, "dataIntegrity", storage.HMACSHA256, map[string]storage.Integrity{"true": storage.HMACSHA256, "false": storage.NoIntegrity})
	r.Cipher = choose(p, "cipher", storage.AESXTS, map[string]storage.Cipher{storage.AESXTS.String(): storage.AESXTS, storage.AEGIS128.String(): storage.AEGIS128})
	if r.Cipher == storage.AEGIS128 && r.Integrity == storage.NoIntegrity {
		p.problem("dataIntegrity \"false\": the cipher %v cannot be without integrity", r.Cipher)
	}
	for _, name := range []string{"encryptKey", "key"} {
		text, given := p.take(name)
		if !given {
			continue
		}
		source, err := ParseKeySource(text)
		switch {
		case err != nil:
			p.problem("%s: %v", name, err)
		case r.Key.Given() && r.Key != source:
			p.problem("key and encryptKey: they differ")
		}
		r.Key = source
	}
	if r.Source == SourceEncrypted && !r.Key.Given() && len(p.problems) == 0 {
		p.problem("key is missing: a device whose sourceType is \"encrypted\" is opened with one")
	}
}

func (p *parser) filesystem(r *Request) {
	none := struct{}{}
	if name := p.left["filesystemType"]; name == "" { // as those send it who have nothing to say
		delete(p.left, "filesystemType")
	}
	choose(p, "filesystemType", none, map[string]struct{}{"ext4": none})
	text, _ := p.take("mkfsOpts")
	options, err := ParseMkfsOptions(text)
	if err != nil {
		p.problem("mkfsOpts: %v", err)
	}
	r.Filesystem = options
}

const maxName = 75 // of a mapping; see package storage

func (p *parser) mapperName() string {
	name, given := p.take("mapperName")
	if given && (name == "" || len(name) > maxName || strings.ContainsAny(name, "/ \x00")) {
		p.problem("mapperName %s: expected 1 to %d letters, digits or _ . + - : = @ #", quote(name), maxName)
	}
	return name
}

const maxPath = 4095

// mountPoint takes one slash at the end, as the agent sends it.
func (p *parser) mountPoint(name string) string {
	trimmed := strings.TrimSuffix(name, "/")
	if !canonical(trimmed) || trimmed == "/" || len(trimmed) > maxPath {
		p.problem("mount_point %s: expected an absolute path, not /, without .. and //", quote(name))
	}
	return trimmed
}

func canonical(name string) bool {
	return path.IsAbs(name) && path.Clean(name) == name && !strings.Contains(name, "\x00")
}
