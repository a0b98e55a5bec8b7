package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// Cipher is what encrypts the contents of a volume.
type Cipher uint8

const (
	// AESXTS is AES-256 in XTS mode, aes-xts-plain64, with the tags that [Integrity]
	// says. It is the zero value.
	AESXTS Cipher = iota
	// AEGIS128 encrypts and authenticates in one pass, as cryptsetup's aegis128-random:
	// a key of 128 bits, and for each write of a block a random nonce of 16 bytes and a
	// tag of 16. It detects what [HMACSHA256] detects, is several times as fast where
	// the processor is the limit, and a block that is written again with equal
	// contents looks different to the host. The kernel needs CONFIG_CRYPTO_AEGIS128.
	AEGIS128
)

// String returns the name that flags use: "aes-xts-plain64" or "aegis128".
func (c Cipher) String() string {
	switch c {
	case AESXTS:
		return cryptsetup.HMACSHA256.Cipher()
	case AEGIS128:
		return "aegis128"
	}
	return fmt.Sprintf("Cipher(%d)", uint8(c))
}

// ParseCipher is the inverse of [Cipher.String].
func ParseCipher(s string) (Cipher, error) {
	for _, c := range []Cipher{AESXTS, AEGIS128} {
		if s == c.String() {
			return c, nil
		}
	}
	return 0, fmt.Errorf("cipher %q: expected %v or %v", s, AESXTS, AEGIS128)
}

// with returns the integrity of a volume with this cipher: AEGIS128 has its own.
func (c Cipher) with(i Integrity) Integrity {
	if c == AEGIS128 {
		return cryptsetup.AEAD
	}
	return i
}

// check refuses what is no volume.
func (c Cipher) check(i Integrity) error {
	switch {
	case c != AESXTS && c != AEGIS128:
		return refuse(ErrInvalid, "", "%v is not known", c)
	case c == AEGIS128 && i == NoIntegrity:
		return refuse(ErrInvalid, "leave the integrity at its default: it is the cipher's own", "the cipher %v cannot be without integrity", c)
	case c == AESXTS && i == cryptsetup.AEAD:
		return refuse(ErrInvalid, fmt.Sprintf("choose the cipher %v", AEGIS128), "integrity %v is that of another cipher", i)
	}
	return nil
}

// checkCipher asks a kernel for the cipher that not every one has, before anything is
// touched.
func (a *activation) checkCipher(control *dm.Control) error {
	if a.integrity != cryptsetup.AEAD {
		return nil
	}
	return offer(control, tableCipher(a.integrity))
}

// tableCipher is the part of a table that is the same for all volumes with one
// integrity.
func tableCipher(i Integrity) dm.Crypt {
	c := dm.Crypt{Cipher: dm.XTSPlain64, SectorSize: blockSize, KeySize: cryptsetup.VolumeKeySize(i)}
	switch i {
	case HMACSHA256:
		c.Cipher, c.IntegrityTagSize = dm.AuthencHMACSHA256XTSPlain64, integrity.TagSize
	case cryptsetup.AEAD:
		c.Cipher, c.IntegrityTagSize = dm.AEGIS128Random, integrity.TagSize
	}
	return c
}

// offer returns nil when only the key is missing. The kernel makes the cipher of a
// table before it looks for the key, and looks for that before the device below: no
// such table is ever accepted. The mapping it is offered for is removed again.
func offer(control *dm.Control, target dm.Crypt) (err error) {
	name := "trusted-store-doctor-" + rand.Text()
	target.KeyDescription = "trusted-store:" + rand.Text()
	if _, err := control.Create(name, ""); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, control.Remove(context.Background(), name)) }()
	err = control.Load(name, dm.Table{{Length: 8, Target: target}}, dm.LoadOptions{})
	if errors.Is(err, unix.ENOKEY) {
		return nil
	}
	return err
}
