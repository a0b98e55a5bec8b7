package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/secret"
)

func TestNothingPrintsTheBytes(t *testing.T) {
	s, err := secret.Move([]byte("hunter2-hunter2"))
	require.NoError(t, err)
	defer s.Wipe()

	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", s, "in", struct{ K *secret.Bytes }{s})
	js, err := json.Marshal(map[string]any{"key": s})
	require.NoError(t, err)

	for _, out := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s),
		fmt.Errorf("bad key %v", s).Error(), log.String(), string(js),
	} {
		require.NotContains(t, out, "hunter2")
		require.NotContains(t, out, fmt.Sprintf("%x", "hunter2"))
		require.Contains(t, out, "[redacted]")
	}
}

func TestMoveWipesItsSource(t *testing.T) {
	source := []byte("0123456789")
	s, err := secret.Move(source)
	require.NoError(t, err)
	defer s.Wipe()
	require.Equal(t, make([]byte, 10), source)
	require.Equal(t, []byte("0123456789"), s.Bytes())
}

func TestWipeTwice(t *testing.T) {
	s, err := secret.Random(96)
	require.NoError(t, err)
	require.NotEqual(t, make([]byte, 96), s.Bytes())
	s.Wipe()
	s.Wipe()
	require.Zero(t, s.Len())
	require.Nil(t, s.Bytes())
	(*secret.Bytes)(nil).Wipe()
}

func TestMemoryIsLockedAndNotDumped(t *testing.T) {
	s, err := secret.Random(100)
	require.NoError(t, err)
	defer s.Wipe()
	smaps, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(smaps), fmt.Sprintf("%x-", addressOf(s.Bytes())))
	require.True(t, found, "the secret has a mapping of its own")
	_, flags, _ := strings.Cut(rest, "VmFlags:")
	flags, _, _ = strings.Cut(flags, "\n")
	require.Contains(t, flags, " lo", "locked")
	require.Contains(t, flags, " dd", "not dumped")
}

func TestReadAll(t *testing.T) {
	for _, n := range []int{0, 1, 4095, 4096, 4097, 10000, 65535, 65536} {
		want := bytes.Repeat([]byte{7}, n)
		for _, r := range []io.Reader{bytes.NewReader(want), iotest.DataErrReader(bytes.NewReader(want))} {
			s, err := secret.ReadAll(r, 65536)
			require.NoError(t, err, n)
			require.Equal(t, n, s.Len())
			require.True(t, bytes.Equal(want, s.Bytes()))
			s.Wipe()
		}
	}
}

func TestReadAllRefusesTooMuch(t *testing.T) {
	for _, n := range []int{11, 4096, 100000} {
		_, err := secret.ReadAll(bytes.NewReader(make([]byte, n)), 10)
		require.ErrorIs(t, err, secret.ErrTooLong)
		_, err = secret.ReadAll(bytes.NewReader(make([]byte, 65537)), 65536)
		require.ErrorIs(t, err, secret.ErrTooLong)
	}
	broken := errors.New("broken")
	_, err := secret.ReadAll(iotest.ErrReader(broken), 10)
	require.ErrorIs(t, err, broken)
}

// Package fmt calls no methods on unexported fields.
func TestHiddenInOtherStructs(t *testing.T) {
	b, err := secret.Move([]byte("open sesame"))
	require.NoError(t, err)
	defer b.Wipe()
	holder := struct {
		ptr *secret.Bytes
		val secret.Bytes
	}{b, *b}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
		for _, printed := range []string{fmt.Sprintf(verb, holder), fmt.Sprintf(verb, &holder), fmt.Sprintf(verb, *b)} {
			require.NotContains(t, printed, "sesame")
			require.NotContains(t, printed, "111 112 101 110")
			require.NotContains(t, strings.ToLower(printed), "6f70656e")
			require.NotContains(t, printed, "0x6f, 0x70")
		}
	}
}
