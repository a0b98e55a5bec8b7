package storage

import (
	"context"
	"crypto/rand"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// ciphers are those of a store with integrity, and of one without.
var ciphers = []struct {
	dm.Cipher
	keySize, tagSize int
	options          []string
}{
	{dm.AuthencHMACSHA256XTSPlain64, 96, 32, []string{"CONFIG_CRYPTO_AUTHENC", "CONFIG_CRYPTO_HMAC", "CONFIG_CRYPTO_SHA256"}},
	{dm.XTSPlain64, 64, 0, []string{"CONFIG_CRYPTO_AES", "CONFIG_CRYPTO_XTS", "CONFIG_CRYPTO_ECB"}},
}

// checkCiphers offers the kernel tables whose key does not exist. It makes the
// cipher before it looks for the key, and for the key before the device below:
// no such table is ever accepted. The mapping it is offered for is removed again.
func checkCiphers(control *dm.Control, absent error) []Check {
	var checks []Check
	for _, c := range ciphers {
		err := absent
		if err == nil {
			err = offer(control, dm.Crypt{Cipher: c.Cipher, KeySize: c.keySize, IntegrityTagSize: c.tagSize, SectorSize: blockSize})
		}
		checks = append(checks, asked("cipher "+c.String(), "there", err, c.options...))
	}
	return checks
}

// offer returns nil when only the key is missing.
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
