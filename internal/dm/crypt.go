package dm

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
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
	// AEGIS128Random is AEGIS-128, which authenticates each sector with its number,
	// under a random nonce that is kept beside the tag; a 16-byte key.
	AEGIS128Random
)

// String returns the cipher as the kernel writes it in a table.
func (c Cipher) String() string {
	switch c {
	case AuthencHMACSHA256XTSPlain64:
		return "capi:authenc(hmac(sha256),xts(aes))-plain64"
	case XTSPlain64:
		return "aes-xts-plain64"
	case AEGIS128Random:
		return "capi:aegis128-random"
	}
	return fmt.Sprintf("invalid-cipher-%d", int(c))
}

// macKeySize is the size of the authentication's part of the key, in bytes.
func (c Cipher) macKeySize() int {
	if c == AuthencHMACSHA256XTSPlain64 {
		return 32
	}
	return 0
}

// Crypt encrypts what lies from sector Offset of Device. The key is a logon key
// that the loading thread must possess. Source: drivers/md/dm-crypt.c.
type Crypt struct {
	Cipher           Cipher
	KeySize          int    // bytes
	KeyDescription   string // of the logon key, "prefix:rest"
	IVOffset         uint64 // sectors
	Device           Device
	Offset           uint64 // sectors
	SectorSize       int    // bytes; 0 is 512
	IntegrityTagSize int    // bytes for each SectorSize; 0: none
	IntegrityKeySize int    // bytes; 0 is what the cipher's authentication takes

	AllowDiscards bool
	Speed         CryptSpeed

	Foreign CryptForeign
}

// CryptSpeed are the options that change how fast a mapping is, and nothing else.
type CryptSpeed struct {
	SameCPU          bool // same_cpu_crypt
	HighPriority     bool
	SubmitFromCrypt  bool // submit_from_crypt_cpus
	NoReadWorkqueue  bool
	NoWriteWorkqueue bool
}

// CryptForeign is what a live table has and this package never loads: other
// programs make such mappings.
type CryptForeign struct {
	Cipher     string // in the place of Cipher
	KeyType    string // of the key in the keyring, in the place of "logon"
	KeyInTable bool   // the table holds the key itself, of which only the size is kept
	Options    string // separated by spaces
}

// Kind returns "crypt".
func (Crypt) Kind() string { return "crypt" }

// Params returns the parameters, options in the order of the kernel's own. A key
// that a live table holds is left out.
func (c Crypt) Params() string {
	params := fmt.Sprintf("%s %s %d %v %d", c.CipherName(), c.key(), c.IVOffset, c.Device, c.Offset)
	return params + optionList(c.options())
}

// CipherName returns the cipher as the kernel writes it, also a foreign one.
func (c Crypt) CipherName() string {
	if c.Foreign.Cipher != "" {
		return c.Foreign.Cipher
	}
	return c.Cipher.String()
}

const logonKey = "logon"

func (c Crypt) key() string {
	switch {
	case c.Foreign.KeyInTable:
		return fmt.Sprintf("[%d bytes]", c.KeySize)
	case c.KeySize == 0:
		return "-"
	case c.Foreign.KeyType != "":
		return fmt.Sprintf(":%d:%s:%s", c.KeySize, c.Foreign.KeyType, c.KeyDescription)
	}
	return fmt.Sprintf(":%d:%s:%s", c.KeySize, logonKey, c.KeyDescription)
}

func (c *Crypt) flags() []flagOption {
	return []flagOption{
		{"allow_discards", &c.AllowDiscards},
		{"same_cpu_crypt", &c.Speed.SameCPU},
		{"high_priority", &c.Speed.HighPriority},
		{"submit_from_crypt_cpus", &c.Speed.SubmitFromCrypt},
		{"no_read_workqueue", &c.Speed.NoReadWorkqueue},
		{"no_write_workqueue", &c.Speed.NoWriteWorkqueue},
	}
}

func (c Crypt) options() []string {
	o := setFlags(c.flags())
	add := func(on bool, format string, value int) {
		if on {
			o = append(o, fmt.Sprintf(format, value))
		}
	}
	add(c.IntegrityTagSize != 0, "integrity:%d:aead", c.IntegrityTagSize)
	add(c.SectorSize != 0 && c.SectorSize != 512, "sector_size:%d", c.SectorSize)
	add(c.IntegrityKeySize != 0, "integrity_key_size:%d", c.IntegrityKeySize)
	return append(o, strings.Fields(c.Foreign.Options)...)
}

// normal spells defaults out, so that two targets that mean the same are equal.
func (c Crypt) normal() Crypt {
	if c.SectorSize == 0 {
		c.SectorSize = 512
	}
	if c.IntegrityKeySize == 0 {
		c.IntegrityKeySize = c.Cipher.macKeySize()
	}
	return c
}

// parseCrypt reads "<cipher> <key> <IV offset> <device> <offset>" and options.
func parseCrypt(params []byte) (c Crypt, err error) {
	words := bytes.Fields(params)
	if len(words) < 5 {
		return Crypt{}, fmt.Errorf("%d words, want 5 or more", len(words))
	}
	c.parseCipher(string(words[0]))
	if err := c.parseKey(words[1]); err != nil {
		return Crypt{}, err
	}
	rest := wordsOf(words[2:])
	c.IVOffset = rest.number()
	c.Device = rest.device()
	c.Offset = rest.number()
	c.Foreign.Options = rest.options(c.flags(), c.parseOption)
	return c, rest.err
}

func (c *Crypt) parseCipher(name string) {
	for _, known := range []Cipher{AuthencHMACSHA256XTSPlain64, XTSPlain64, AEGIS128Random} {
		if name == known.String() {
			c.Cipher = known
			return
		}
	}
	c.Foreign.Cipher = name
}

// parseKey reads ":BYTES:TYPE:DESCRIPTION", hexadecimal digits, which go no
// further, or "-" for no key.
func (c *Crypt) parseKey(word []byte) error {
	if string(word) == "-" {
		return nil
	}
	if word[0] != ':' {
		c.Foreign.KeyInTable, c.KeySize = true, len(word)/2
		return nil
	}
	parts := strings.SplitN(string(word[1:]), ":", 3)
	size, err := strconv.ParseUint(parts[0], 10, 16)
	if err != nil || size == 0 || len(parts) != 3 || parts[1] == "" {
		return errors.New("the key is not :BYTES:TYPE:DESCRIPTION") // and may be one
	}
	c.KeySize, c.KeyDescription = int(size), parts[2]
	if parts[1] != logonKey {
		c.Foreign.KeyType = parts[1]
	}
	return nil
}

// parseOption takes an option with a value; false leaves it to the foreign ones.
func (c *Crypt) parseOption(name, value string) bool {
	if tag, ok := strings.CutSuffix(value, ":aead"); ok && name == "integrity" {
		return setInt(&c.IntegrityTagSize, tag)
	}
	switch name {
	case "sector_size":
		return setInt(&c.SectorSize, value)
	case "integrity_key_size":
		return setInt(&c.IntegrityKeySize, value)
	}
	return false
}
