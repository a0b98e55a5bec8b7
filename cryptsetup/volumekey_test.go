package cryptsetup_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

func TestVolumeKeySizes(t *testing.T) {
	require.Equal(t, 96, newKey(t, cryptsetup.HMACSHA256).Len())
	require.Equal(t, 64, newKey(t, cryptsetup.None).Len())
	_, err := cryptsetup.NewVolumeKey(9)
	require.ErrorContains(t, err, "Integrity(9)")
}

func TestVolumeKeyPrintsAsNothing(t *testing.T) {
	raw := bytes.Repeat([]byte("hunter2!"), 12)
	key, err := cryptsetup.MoveVolumeKey(raw, cryptsetup.HMACSHA256)
	require.NoError(t, err)
	defer key.Wipe()
	require.Equal(t, make([]byte, 96), raw, "the source is not wiped")

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", key, "in", struct{ K *cryptsetup.VolumeKey }{key})
	js, err := json.Marshal(struct{ K *cryptsetup.VolumeKey }{key})
	require.NoError(t, err)
	for _, out := range []string{fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s %q %x %X %d", key, key, key, key, key, key, key, key), log.String(), string(js)} {
		require.Contains(t, out, "[redacted]")
		require.NotContains(t, out, "hunter2")
		require.NotContains(t, out, fmt.Sprintf("%x", "hunter2"))
		require.NotContains(t, out, fmt.Sprintf("%X", "hunter2"))
		require.NotContains(t, out, "104 117 110")
	}
}

func TestMoveVolumeKeyWipesAlsoWhenItFails(t *testing.T) {
	raw := bytes.Repeat([]byte{7}, 95)
	_, err := cryptsetup.MoveVolumeKey(raw, cryptsetup.HMACSHA256)
	require.ErrorIs(t, err, cryptsetup.ErrVolumeKeyMismatch)
	require.Equal(t, make([]byte, 95), raw)
}

func TestWipedVolumeKeyIsEmpty(t *testing.T) {
	key := newKey(t, cryptsetup.HMACSHA256)
	key.Wipe()
	key.Wipe()
	require.Zero(t, key.Len())
	require.Empty(t, key.Bytes())
	(*cryptsetup.VolumeKey)(nil).Wipe()
	require.Zero(t, (*cryptsetup.VolumeKey)(nil).Len())
}

func TestIntegrityNames(t *testing.T) {
	for _, i := range []cryptsetup.Integrity{cryptsetup.HMACSHA256, cryptsetup.None, cryptsetup.AEAD} {
		got, err := cryptsetup.ParseIntegrity(i.String())
		require.NoError(t, err)
		require.Equal(t, i, got)
		b, err := json.Marshal(i)
		require.NoError(t, err)
		var back cryptsetup.Integrity
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, i, back)
		require.Equal(t, i.String(), cryptsetup.Require(i).String())
	}
	_, err := cryptsetup.ParseIntegrity("any")
	require.ErrorContains(t, err, "expected hmac-sha256, aead or none")
}
