package storage

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// ciphers are those of a store with integrity, of one without, and of one with
// [AEGIS128].
var ciphers = []struct {
	integrity Integrity
	options   []string
}{
	{HMACSHA256, []string{"CONFIG_CRYPTO_AUTHENC", "CONFIG_CRYPTO_HMAC", "CONFIG_CRYPTO_SHA256"}},
	{NoIntegrity, []string{"CONFIG_CRYPTO_AES", "CONFIG_CRYPTO_XTS", "CONFIG_CRYPTO_ECB"}},
	{cryptsetup.AEAD, []string{"CONFIG_CRYPTO_AEGIS128"}},
}

// checkCiphers offers the kernel tables whose key does not exist.
func checkCiphers(control *dm.Control, absent error) []Check {
	var checks []Check
	for _, c := range ciphers {
		err, target := absent, tableCipher(c.integrity)
		if err == nil {
			err = offer(control, target)
		}
		check := asked("cipher "+target.Cipher.String(), "there", err, c.options...)
		if c.integrity == cryptsetup.AEAD && check.Result == CheckFails && errors.Is(err, unix.ENOENT) {
			check = warns(check.Thing, check.Found, "only stores with CreateOptions.Cipher aegis128 need it: "+loadModule, c.options...)
		}
		checks = append(checks, check)
	}
	return checks
}
