package cryptsetup

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 7914, section 11.
func TestPBKDF2KnownAnswers(t *testing.T) {
	for _, c := range []struct {
		password, salt string
		iterations     int
		want           string
	}{
		{"passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc" +
			"49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"},
		{"Password", "NaCl", 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56" +
			"a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"},
	} {
		got, err := pbkdf2SHA256(t.Context(), []byte(c.password), []byte(c.salt), c.iterations, 64)
		require.NoError(t, err)
		require.Equal(t, c.want, hex.EncodeToString(got))
	}
}

func TestPBKDF2EqualsTheStandardLibrary(t *testing.T) {
	for size := 1; size < 100; size += 7 {
		password, salt := bytes.Repeat([]byte{byte(size)}, size), bytes.Repeat([]byte{'s'}, size)
		want, err := pbkdf2.Key(sha256.New, string(password), salt, size, size)
		require.NoError(t, err)
		got, err := pbkdf2SHA256(t.Context(), password, salt, size, size)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// A header whose host chose the most iterations is given up with the caller's
// context, also in the middle of a key slot.
func TestUnlockEndsWithItsContext(t *testing.T) {
	key, err := NewVolumeKey(HMACSHA256)
	require.NoError(t, err)
	defer key.Wipe()
	h, err := New(key, Options{})
	require.NoError(t, err)
	for _, k := range []KDF{PBKDF2{Iterations: maxIterations}, PassphraseKDF()} {
		for id := range MaxKeyslots {
			h.meta.keyslots = append(h.meta.keyslots[:id], Keyslot{ID: id, KDF: k, salt: make([]byte, saltSize), area: make([]byte, areaSize(HMACSHA256))})
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		_, _, err = h.Unlock(ctx, []byte("any"))
		require.ErrorIs(t, err, context.Canceled, "%v", k)
	}
	h.meta.digest.iterations = maxIterations
	h.meta.keyslots = h.meta.keyslots[:1]
	h.meta.keyslots[0].KDF = RandomKeyKDF()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	_, _, err = h.Unlock(ctx, []byte("any"))
	require.ErrorIs(t, err, context.Canceled, "the digest")
}
