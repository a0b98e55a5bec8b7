package cryptsetup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const (
	rawOffset = cryptsetup.DataOffset / 512 // sectors
	diskSize  = 64 << 20
)

func openDevice(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() }) // what matters is synced before
	return f
}

// plainMapping maps a disk of diskSize without integrity.
func plainMapping(t testing.TB, name, disk string) cryptsetup.Mapping {
	t.Helper()
	t.Cleanup(func() { deactivate(t, name) })
	return cryptsetup.Mapping{Name: name, UUID: uuid.New(), Device: openDevice(t, disk),
		Offset: rawOffset, Sectors: diskSize/512 - rawOffset, Integrity: cryptsetup.None}
}

// deactivate removes what a failed test may have left.
func deactivate(t testing.TB, name string) {
	err := cryptsetup.Deactivate(context.Background(), name)
	if !errors.Is(err, cryptsetup.ErrNotActive) {
		require.NoError(t, err)
	}
}

// authenticated formats an integrity layer on a disk and returns the mapping for
// the crypt layer on top.
func authenticated(t testing.TB, name, disk string) cryptsetup.Mapping {
	t.Helper()
	layout, err := integrity.Plan(diskSize/512, rawOffset, integrity.MinimalJournal)
	require.NoError(t, err)
	below := integrity.Mapping{Name: name + "_dif", UUID: uuid.New(), Device: openDevice(t, disk),
		Layout: layout, Mode: integrity.Direct}
	require.NoError(t, integrity.Format(t.Context(), below))
	t.Cleanup(func() { require.NoError(t, integrity.Deactivate(context.Background(), below.Name)) })
	dif := openDevice(t, dm.Path(below.Name))
	t.Cleanup(func() { _ = dif.Close(); deactivate(t, name) })
	return cryptsetup.Mapping{Name: name, UUID: below.UUID, Device: dif, Sectors: layout.ProvidedSectors}
}

func liveTable(t testing.TB, name string) dm.Table {
	t.Helper()
	c, err := dm.Open()
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	live, err := c.Table(name)
	require.NoError(t, err)
	return live
}

func requireNoKeys(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile("/proc/keys")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); strings.Contains(line, "cryptsetup:") && !strings.Contains(f[1], "R") {
			t.Errorf("key left: %s", line)
		}
	}
}

func pattern(c byte) []byte { return bytes.Repeat([]byte{c}, storagetest.BlockSize) }

func TestActivatePlain(t *testing.T) {
	storagetest.Kernel(t, "crypt")
	disk := storagetest.Disk(t, diskSize)
	m, key := plainMapping(t, "plain", disk), newKey(t, cryptsetup.None)
	require.NoError(t, cryptsetup.Activate(t.Context(), m, key))
	requireNoKeys(t)
	storagetest.WriteBlock(t, dm.Path("plain"), 7, pattern('p'))
	require.Equal(t, pattern('p'), storagetest.ReadBlock(t, dm.Path("plain"), 7))
	raw := storagetest.ReadBlock(t, disk, cryptsetup.DataOffset/storagetest.BlockSize+7)
	require.NotContains(t, string(raw), "pppp")
	require.NotEqual(t, make([]byte, 4096), raw)

	require.NoError(t, cryptsetup.Deactivate(t.Context(), "plain"))
	require.ErrorIs(t, cryptsetup.Deactivate(t.Context(), "plain"), cryptsetup.ErrNotActive)
	require.NoError(t, cryptsetup.Activate(t.Context(), m, key))
	require.Equal(t, pattern('p'), storagetest.ReadBlock(t, dm.Path("plain"), 7))
}

func TestActivateAuthenticated(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	disk := storagetest.Disk(t, diskSize)
	m, key := authenticated(t, "auth", disk), newKey(t, cryptsetup.HMACSHA256)
	require.NoError(t, cryptsetup.Activate(t.Context(), m, key))
	requireNoKeys(t)
	storagetest.WriteBlock(t, dm.Path("auth"), 0, pattern('a'))
	require.Equal(t, pattern('a'), storagetest.ReadBlock(t, dm.Path("auth"), 0))
	require.ErrorIs(t, readError(t, "auth", 1), unix.EILSEQ, "a block that was never written was readable")

	live := liveTable(t, "auth")
	require.Len(t, live, 1)
	target, ok := live[0].Target.(dm.Crypt)
	require.True(t, ok, "%v", live)
	require.Equal(t, "cryptsetup:"+m.UUID.String()+"-d0", target.KeyDescription)
	require.Equal(t, dm.CryptForeign{}, target.Foreign, "the live table holds the key")
}

// Volumes with one uuid have one key description: each must get its own key.
func TestActivationsOnManyCPUsDoNotMixKeys(t *testing.T) {
	storagetest.Kernel(t, "crypt")
	const n = 16
	same := uuid.New()
	mappings, keys := make([]cryptsetup.Mapping, n), make([]*cryptsetup.VolumeKey, n)
	for i := range n {
		mappings[i] = plainMapping(t, fmt.Sprintf("mix%d", i), storagetest.Disk(t, diskSize))
		mappings[i].UUID, keys[i] = same, newKey(t, cryptsetup.None)
		require.NoError(t, cryptsetup.Activate(t.Context(), mappings[i], keys[i]))
		storagetest.WriteBlock(t, dm.Path(mappings[i].Name), 0, pattern(byte(i)))
		require.NoError(t, cryptsetup.Deactivate(t.Context(), mappings[i].Name))
	}
	for range 3 {
		var all, ready sync.WaitGroup
		errs := make([]error, n)
		ready.Add(n)
		for i := range n {
			all.Go(func() {
				errs[i] = cryptsetup.ActivateAfter(t.Context(), mappings[i], keys[i], func() {
					ready.Done() // no load begins before all keys are there
					ready.Wait()
				})
			})
		}
		all.Wait()
		require.NoError(t, errors.Join(errs...))
		for i, m := range mappings {
			require.Equal(t, pattern(byte(i)), storagetest.ReadBlock(t, dm.Path(m.Name), 0), "volume %d got another's key", i)
			require.NoError(t, cryptsetup.Deactivate(t.Context(), m.Name))
		}
	}
	requireNoKeys(t)
}

func TestActivateReadOnly(t *testing.T) {
	storagetest.Kernel(t, "crypt")
	m, key := plainMapping(t, "readonly", storagetest.DiskWith(t, diskSize, storagetest.DiskOptions{})), newKey(t, cryptsetup.None)
	m.ReadOnly = true
	require.NoError(t, cryptsetup.Activate(t.Context(), m, key))
	f, err := os.OpenFile(dm.Path("readonly"), os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(pattern('x'), 0)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	require.Error(t, err)
}

// cryptsetup knows the mappings by their names and UUIDs, and closes both.
func TestCryptsetupKnowsOurMappings(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	tool := storagetest.Tool(t, "cryptsetup")
	disk := storagetest.Disk(t, diskSize)
	m, key := authenticated(t, "known", disk), newKey(t, cryptsetup.HMACSHA256)
	header, err := cryptsetup.New(key, cryptsetup.Options{UUID: m.UUID})
	require.NoError(t, err)
	dev := openDevice(t, disk)
	require.NoError(t, header.Write(dev))
	require.NoError(t, dev.Sync(), "cryptsetup reads it through the mapping below")
	require.NoError(t, cryptsetup.Activate(t.Context(), m, key))

	out, err := peer(tool, "status", "known")
	require.NoError(t, err, out)
	for _, want := range []string{"type:    LUKS2", "key location: keyring", "cipher:  aes-xts-plain64", "integrity: hmac(sha256)", "sector size:  4096"} {
		require.Contains(t, out, want)
	}
}

func peer(tool string, args ...string) (string, error) {
	cmd := exec.Command(tool, args...)
	cmd.Env = append(os.Environ(), "DM_DISABLE_UDEV=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func BenchmarkActivate(b *testing.B) {
	storagetest.Kernel(b, "crypt", "integrity")
	m, key := authenticated(b, "bench", storagetest.Disk(b, diskSize)), newKey(b, cryptsetup.HMACSHA256)
	for b.Loop() {
		require.NoError(b, cryptsetup.Activate(b.Context(), m, key))
		require.NoError(b, cryptsetup.Deactivate(b.Context(), m.Name))
	}
}
