package storage_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// mapping makes a mapping with dmsetup, until the test ends. The table is of
// dmsetup's form, "" for none.
func mapping(t *testing.T, name, id, table string, args ...string) {
	t.Helper()
	args = append([]string{"create", name, "--manglename", "none"}, args...)
	if id != "" {
		args = append(args, "-u", id)
	}
	if table == "" {
		args = append(args, "--notable")
	}
	cmd := exec.Command("dmsetup", args...)
	cmd.Stdin = strings.NewReader(table)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", name, out)
	t.Cleanup(func() { tool(t, "dmsetup", "remove", "--manglename", "none", name) })
}

// luks2UUID is the kernel's UUID of the mapping of a LUKS2 volume.
func luks2UUID(name string) string {
	return "CRYPT-LUKS2-" + strings.ReplaceAll(uuid.NewString(), "-", "") + "-" + name
}

// stores lists what is live, by name.
func stores(t *testing.T) map[string]storage.Status {
	t.Helper()
	list, err := storage.List(t.Context())
	require.NoError(t, err)
	byName := map[string]storage.Status{}
	for _, s := range list {
		byName[s.Name] = s
	}
	require.Len(t, byName, len(list))
	return byName
}

// Whatever else device-mapper has, also under names like ours, the list of stores
// is ours, and what is LUKS2 but not as it should be says so.
func TestStatusBesideOtherMappings(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 64*mib), storage.CreateOptions{})
	alone := create(t, storagetest.Disk(t, 64*mib), storage.CreateOptions{MountPoint: storage.NoMount, Integrity: storage.NoIntegrity})
	id := strings.ReplaceAll(uuid.NewString(), "-", "")
	for _, m := range []struct{ name, uuid, table string }{
		{"vg-lv", "LVM-" + strings.Repeat("abcd", 16), "0 8 zero"},
		{"encrypted_disk_OTHER", "", "0 8 zero\n8 8 error"},
		{"an odd\nname \x1b[2J", "", "0 8 zero"},
		{"..x", "odd uuid \xff", "0 8 error"},
		{alone.Name() + "_data", "", "0 8 zero"},
		{alone.Name() + "_dif", "LVM-" + id, "0 8 zero"},
		{"backup_dif", "CRYPT-INTEGRITY-backup_dif", "0 8 zero"},
		{"old", "CRYPT-LUKS1-" + id + "-old", "0 8 zero"},
		{"plain", "CRYPT-PLAIN-plain", "0 8 zero"},
		{"veritied", "CRYPT-VERITY-" + id + "-veritied", "0 8 zero"},
		{"reencrypting-hotzone-forward", "CRYPT-SUBDEV-" + id + "-reencrypting-hotzone-forward", "0 8 zero"},
		{"nothing", "", ""},
		{"nothing2", luks2UUID("nothing2"), ""},
		{"not-crypt", luks2UUID("not-crypt"), "0 8 zero"},
		{"two-lines", luks2UUID("two-lines"), "0 8 zero\n8 8 error"},
		{"crypt-of-another-form", luks2UUID("crypt-of-another-form"), "0 8 crypt aes-xts-plain64 " + strings.Repeat("0123456789abcdef", 4) + " 0 " + storagetest.Disk(t, mib) + " 0"},
		{"suspended", luks2UUID("suspended"), "0 8 zero"},
		{"suspended-too", "", "0 8 zero"},
	} {
		mapping(t, m.name, m.uuid, m.table)
	}
	for _, name := range []string{"suspended", "suspended-too"} {
		tool(t, "dmsetup", "suspend", name)
	}

	got := stores(t)
	require.Empty(t, got[s.Name()].Problems)
	require.Equal(t, storage.StateMounted, got[s.Name()].State)
	require.Empty(t, got[alone.Name()].Problems)
	require.Equal(t, storage.StateMapped, got[alone.Name()].State)
	delete(got, s.Name())
	delete(got, alone.Name())
	for _, name := range []string{"nothing2", "not-crypt", "two-lines", "crypt-of-another-form", "suspended"} {
		require.NotEmpty(t, got[name].Problems, name)
		require.Empty(t, got[name].Integrity == "hmac(sha256)", name)
		delete(got, name)
	}
	require.Empty(t, got, "other programs' mappings")

	_, err := storage.StatusOf(t.Context(), s.MountPoint())
	require.NoError(t, err)
	for _, name := range []string{"encrypted_disk_OTHER", "old", "plain", "nothing"} {
		_, err := storage.StatusOf(t.Context(), name)
		require.ErrorIs(t, err, storage.ErrInvalid, name)
		require.ErrorContains(t, err, "another program")
		require.ErrorIs(t, storage.Close(t.Context(), name), storage.ErrInvalid, name)
	}
	require.ErrorIs(t, storage.Close(t.Context(), "backup"), storage.ErrNotFound, "backup_dif is integritysetup's")
	require.NoError(t, alone.Close(), "mappings of other programs with names like ours stay")
	require.NoError(t, s.Close())
	tool(t, "dmsetup", "info", alone.Name()+"_data", alone.Name()+"_dif", "backup_dif", "encrypted_disk_OTHER")
}

// What other tools open, beside a store of ours.
func TestStatusBesideOtherVolumes(t *testing.T) { forEachCryptsetup(t, statusBesideOtherVolumes) }

func statusBesideOtherVolumes(t *testing.T, cryptsetup string) {
	s := create(t, storagetest.Disk(t, 64*mib), storage.CreateOptions{})
	file := keyFile(t, longKey)
	fast := []string{"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", file, "-q"}
	volume := func(name string, openArgs []string, formatArgs ...string) {
		disk := storagetest.Disk(t, interopSize)
		if len(formatArgs) > 0 {
			tool(t, cryptsetup, append(append([]string{"luksFormat", disk}, formatArgs...), fast...)...)
		}
		tool(t, cryptsetup, append([]string{"open", "--key-file", file, disk, name}, openArgs...)...)
		t.Cleanup(func() { tool(t, cryptsetup, "close", name) })
	}
	volume("luks1", nil, "--type", "luks1")
	volume("plain", []string{"--type", "plain", "--cipher", "aes-xts-plain64", "--key-size", "256", "--hash", "sha256"})
	volume("luks2-512", nil, "--type", "luks2", "--cipher", "aes-xts-plain64", "--sector-size", "512")
	volume("luks2", nil, "--type", "luks2", "--sector-size", "4096", "--integrity", "hmac-sha256")
	disk := storagetest.Disk(t, interopSize)
	tool(t, "integritysetup", "format", "-q", "--no-wipe", disk)
	tool(t, "integritysetup", "open", disk, "tags_dif")
	t.Cleanup(func() { tool(t, "integritysetup", "close", "tags_dif") })

	got := stores(t)
	require.Len(t, got, 3)
	require.Empty(t, got[s.Name()].Problems)
	require.Empty(t, got["luks2"].Problems)
	require.Equal(t, storage.StateMapped, got["luks2"].State)
	require.Equal(t, "hmac(sha256)", got["luks2"].Integrity)
	require.NotEmpty(t, got["luks2-512"].Problems, "shown as what it is")
}

// Mappings that come and go while the list is read are no failure of it.
func TestStatusWhileMappingsVanish(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 64*mib), storage.CreateOptions{})
	control, err := dm.Open()
	require.NoError(t, err)
	defer control.Close()
	const rounds = 200
	done := make(chan error)
	go func() {
		id := luks2UUID("vanishing")
		for range rounds {
			_, err := control.Create("vanishing", id)
			if err == nil {
				err = control.Load("vanishing", dm.Table{{Length: 8, Target: dm.Zero{}}}, dm.LoadOptions{})
			}
			if err == nil {
				err = control.Remove(t.Context(), "vanishing")
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		got := stores(t)
		require.Contains(t, got, s.Name())
		select {
		case err := <-done:
			require.NoError(t, err)
			return
		default:
		}
	}
}
