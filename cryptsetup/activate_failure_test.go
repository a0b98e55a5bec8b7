package cryptsetup_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestActivateFailsCleanly(t *testing.T) {
	storagetest.Kernel(t, "crypt", "linear")
	disk := storagetest.Disk(t, diskSize)
	good, key := plainMapping(t, "fails", disk), newKey(t, cryptsetup.None)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	regular, err := os.Open(storagetest.SparseFile(t, diskSize))
	require.NoError(t, err)
	defer regular.Close()
	for name, test := range map[string]struct {
		ctx    context.Context
		change func(*cryptsetup.Mapping)
		key    *cryptsetup.VolumeKey
		want   error
	}{
		"context ended":     {ended, func(*cryptsetup.Mapping) {}, key, context.Canceled},
		"bad name":          {t.Context(), func(m *cryptsetup.Mapping) { m.Name = "a/b" }, key, dm.ErrInvalidName},
		"long name":         {t.Context(), func(m *cryptsetup.Mapping) { m.Name = strings.Repeat("n", 84) }, key, dm.ErrInvalidName},
		"no device":         {t.Context(), func(m *cryptsetup.Mapping) { m.Device = nil }, key, cryptsetup.ErrMapping},
		"regular file":      {t.Context(), func(m *cryptsetup.Mapping) { m.Device = regular }, key, dm.ErrNotBlockDevice},
		"no sectors":        {t.Context(), func(m *cryptsetup.Mapping) { m.Sectors = 0 }, key, cryptsetup.ErrMapping},
		"odd sectors":       {t.Context(), func(m *cryptsetup.Mapping) { m.Sectors-- }, key, cryptsetup.ErrMapping},
		"odd offset":        {t.Context(), func(m *cryptsetup.Mapping) { m.Offset++ }, key, cryptsetup.ErrMapping},
		"unknown integrity": {t.Context(), func(m *cryptsetup.Mapping) { m.Integrity = 9 }, key, cryptsetup.ErrMapping},
		"beyond the device": {t.Context(), func(m *cryptsetup.Mapping) { m.Sectors += 8 }, key, dm.ErrInvalidTable},
		"key of other size": {t.Context(), func(*cryptsetup.Mapping) {}, newKey(t, cryptsetup.HMACSHA256), cryptsetup.ErrVolumeKeyMismatch},
		"no key":            {t.Context(), func(*cryptsetup.Mapping) {}, nil, cryptsetup.ErrVolumeKeyMismatch},
		"tags without an integrity layer": {t.Context(), func(m *cryptsetup.Mapping) { m.Integrity = cryptsetup.HMACSHA256 },
			newKey(t, cryptsetup.HMACSHA256), dm.ErrInvalidTable},
	} {
		t.Run(name, func(t *testing.T) {
			m := good
			test.change(&m)
			err := cryptsetup.Activate(test.ctx, m, test.key)
			require.ErrorIs(t, err, test.want)
			var op *cryptsetup.ActivationError
			require.ErrorAs(t, err, &op)
			require.ErrorIs(t, cryptsetup.Deactivate(t.Context(), good.Name), cryptsetup.ErrNotActive)
			requireNoKeys(t)
		})
	}
	require.NoError(t, cryptsetup.Activate(t.Context(), good, key))
}

// Whatever made the kernel map something else, it does not stay.
func TestActivateComparesTheLiveTable(t *testing.T) {
	storagetest.Kernel(t, "crypt", "linear")
	m := plainMapping(t, "compared", storagetest.Disk(t, diskSize))
	number, err := dm.DeviceOf(m.Device)
	require.NoError(t, err)
	err = cryptsetup.ActivateOther(t.Context(), m, dm.Linear{Device: number, Offset: rawOffset})
	require.ErrorIs(t, err, cryptsetup.ErrTableDiffers)
	require.ErrorIs(t, cryptsetup.Deactivate(t.Context(), m.Name), cryptsetup.ErrNotActive)
}

func TestActivateTwice(t *testing.T) {
	storagetest.Kernel(t, "crypt")
	m, key := plainMapping(t, "twice", storagetest.Disk(t, diskSize)), newKey(t, cryptsetup.None)
	require.NoError(t, cryptsetup.Activate(t.Context(), m, key))
	require.ErrorIs(t, cryptsetup.Activate(t.Context(), m, key), cryptsetup.ErrActive)
	other := m
	other.Name = "thrice"
	t.Cleanup(func() { deactivate(t, other.Name) })
	require.ErrorIs(t, cryptsetup.Activate(t.Context(), other, key), cryptsetup.ErrBusy, "two mappings share a disk")
	require.NotEmpty(t, liveTable(t, "twice"), "the first mapping was lost")
}
