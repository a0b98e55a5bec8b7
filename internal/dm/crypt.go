package dm

import (
	"fmt"
	"strings"
)

// Cipher is one of the ciphers that this project loads.
type Cipher int

const (
	// AuthencHMACSHA256XTSPlain64 is AES-XTS with HMAC-SHA256 over each sector
	// and its number; a 96-byte key: 64 for XTS, then 32 for the HMAC.
	AuthencHMACSHA256XTSPlain64 Cipher = iota + 1
	// XTSPlain64 is AES-256-XTS alone; a 64-byte key.
	XTSPlain64
)

// String returns the cipher as the kernel writes it in a table.
func (c Cipher) String() string {
	switch c {
	case AuthencHMACSHA256XTSPlain64:
		return "capi:authenc(hmac(sha256),xts(aes))-plain64"
	case XTSPlain64:
		return "aes-xts-plain64"
	}
	return fmt.Sprintf("invalid-cipher-%d", int(c))
}

// Crypt encrypts what lies from sector Offset of Device. The key is a logon key
// that the loading thread must possess. The kernel echoes Params unchanged.
// Source: drivers/md/dm-crypt.c.
type Crypt struct {
	Cipher           Cipher
	KeySize          int    // bytes
	KeyDescription   string // of the logon key, "prefix:rest"
	IVOffset         uint64 // sectors
	Device           Device
	Offset           uint64 // sectors
	SectorSize       int    // bytes; 0 is 512
	IntegrityTagSize int    // bytes for each SectorSize; 0: none

	AllowDiscards    bool
	SameCPU          bool // same_cpu_crypt
	SubmitFromCrypt  bool // submit_from_crypt_cpus
	NoReadWorkqueue  bool
	NoWriteWorkqueue bool
}

// Kind returns "crypt".
func (Crypt) Kind() string { return "crypt" }

// Params returns the parameters, options in the order of the kernel's own.
func (c Crypt) Params() string {
	params := fmt.Sprintf("%v :%d:logon:%s %d %v %d",
		c.Cipher, c.KeySize, c.KeyDescription, c.IVOffset, c.Device, c.Offset)
	return params + optionList(c.options())
}

func (c Crypt) options() []string {
	var o []string
	add := func(on bool, option string) {
		if on {
			o = append(o, option)
		}
	}
	add(c.AllowDiscards, "allow_discards")
	add(c.SameCPU, "same_cpu_crypt")
	add(c.SubmitFromCrypt, "submit_from_crypt_cpus")
	add(c.NoReadWorkqueue, "no_read_workqueue")
	add(c.NoWriteWorkqueue, "no_write_workqueue")
	add(c.IntegrityTagSize != 0, fmt.Sprintf("integrity:%d:aead", c.IntegrityTagSize))
	add(c.SectorSize != 0 && c.SectorSize != 512, fmt.Sprintf("sector_size:%d", c.SectorSize))
	return o
}

// optionList prints a counted list of options, nothing for none.
func optionList(options []string) string {
	if len(options) == 0 {
		return ""
	}
	return fmt.Sprintf(" %d %s", len(options), strings.Join(options, " "))
}
