package dm_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/dm"
)

func TestValidName(t *testing.T) {
	for _, name := range []string{"x", "encrypted_disk_A1b2C", "a#b+c-d.e:f=g@h_i", "...", strings.Repeat("n", 127)} {
		require.NoError(t, dm.ValidName(name), name)
	}
	for _, name := range []string{
		"", ".", "..", "control", "a/b", "a b", "a\x00b", "a\nb", "ü", `a\x20b`, "a%b", strings.Repeat("n", 128),
	} {
		require.ErrorIs(t, dm.ValidName(name), dm.ErrInvalidName, "%q", name)
	}
}

func TestPath(t *testing.T) {
	require.Equal(t, "/dev/mapper/x", dm.Path("x"))
}

func TestParseDevice(t *testing.T) {
	d, err := dm.ParseDevice("253:1048575")
	require.NoError(t, err)
	require.Equal(t, dm.Device{Major: 253, Minor: 1048575}, d)
	require.Equal(t, "253:1048575", d.String())
	for _, s := range []string{"", "253", "253:", ":1", "253:1:2", "-1:0", "+1:0", "01:0", " 1:0", "1:0 ", "4294967296:0", "/dev/sda"} {
		_, err := dm.ParseDevice(s)
		require.Error(t, err, "%q", s)
	}
}
