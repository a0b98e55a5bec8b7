package cryptsetup_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

// A new header with one key slot for a random key, onto a device in memory.
func BenchmarkCreate(b *testing.B) {
	key := newKey(b, cryptsetup.HMACSHA256)
	passphrase := make([]byte, 32)
	d := newDevice(b, regionSize)
	for b.Loop() {
		h, err := cryptsetup.New(key, cryptsetup.Options{})
		require.NoError(b, err)
		_, err = h.AddKeyslot(passphrase, key, cheap)
		require.NoError(b, err)
		require.NoError(b, h.Write(d))
		d.cache, d.all = nil, nil
	}
}

// Reading, judging and unlocking that header.
func BenchmarkOpen(b *testing.B) {
	passphrase := string(make([]byte, 32))
	d, _, _ := newVolume(b, cryptsetup.HMACSHA256, passphrase)
	for b.Loop() {
		h, err := cryptsetup.Read(d, cryptsetup.Profile{})
		require.NoError(b, err)
		key, _, err := h.Unlock(b.Context(), []byte(passphrase))
		require.NoError(b, err)
		key.Wipe()
	}
}

// What a host can make an unlock cost at the most, for one key slot.
func BenchmarkCostliestKeyslot(b *testing.B) {
	for _, k := range []cryptsetup.KDF{cryptsetup.PBKDF2{Iterations: 10_000_000}, cryptsetup.Argon2id{Time: 16, MemoryKiB: 65536, Threads: 4}} {
		b.Run(k.String(), func(b *testing.B) {
			_, h, key := newVolume(b, cryptsetup.HMACSHA256)
			_, err := h.AddKeyslot([]byte("one"), key, k)
			require.NoError(b, err)
			for b.Loop() {
				_, _, err := h.Unlock(b.Context(), []byte("two"))
				require.ErrorIs(b, err, cryptsetup.ErrWrongKey)
			}
		})
	}
}
