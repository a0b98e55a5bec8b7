package storage_test

import (
	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/storage"
)

// kind is one of the kinds of volumes that there are.
type kind struct {
	cipher    storage.Cipher
	integrity storage.Integrity
}

var (
	hmacKind  = kind{storage.AESXTS, storage.HMACSHA256}
	plainKind = kind{storage.AESXTS, storage.NoIntegrity}
	aegisKind = kind{storage.AEGIS128, storage.HMACSHA256}

	kinds = []kind{hmacKind, plainKind, aegisKind}
)

func (k kind) String() string {
	if k.cipher == storage.AEGIS128 {
		return k.cipher.String()
	}
	return k.integrity.String()
}

// header is the integrity of the volume's header.
func (k kind) header() cryptsetup.Integrity {
	if k.cipher == storage.AEGIS128 {
		return cryptsetup.AEAD
	}
	return k.integrity
}

func (k kind) profile() cryptsetup.Profile {
	return cryptsetup.Profile{Integrity: cryptsetup.Require(k.header())}
}

// shown is what cryptsetup says of a live one.
func (k kind) shown() status {
	s := status{"LUKS2", k.header().Cipher(), 8 * cryptsetup.VolumeKeySize(k.header()), "keyring", "hmac(sha256)", 4096}
	switch k {
	case plainKind:
		s.integrity = ""
	case aegisKind:
		s.integrity = "aead"
	}
	return s
}

func (k kind) create() storage.CreateOptions {
	return storage.CreateOptions{Cipher: k.cipher, Integrity: k.integrity}
}

func (k kind) open() storage.OpenOptions {
	return storage.OpenOptions{Cipher: k.cipher, Integrity: k.integrity}
}
