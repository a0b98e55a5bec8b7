package storage_test

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/anatol/luks.go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// On 40 MiB the default journal differs from the minimal one.
const interopSize = 40 * mib

// forEachCryptsetup runs a test with the host's cryptsetup and with the newest that
// Debian has.
func forEachCryptsetup(t *testing.T, f func(t *testing.T, cryptsetup string)) {
	kernel(t)
	for _, name := range storagetest.Cryptsetups() {
		t.Run(name, func(t *testing.T) { f(t, storagetest.Tool(t, name)) })
	}
}

// cryptsetup opens, shows and closes what we made, either reads what the other
// wrote, and either closes what the other opened.
func TestCryptsetupOpensOurs(t *testing.T) { forEachCryptsetup(t, cryptsetupOpensOurs) }

func cryptsetupOpensOurs(t *testing.T, cryptsetup string) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			disk, file := storagetest.Disk(t, interopSize), keyFile(t, longKey)
			id := persistent(t, disk, longKey, "ours", k.create())
			require.Contains(t, tool(t, cryptsetup, "luksDump", disk), id.String())

			tool(t, cryptsetup, "open", "--key-file", file, disk, "theirs")
			require.Equal(t, k.shown(), statusOf(t, cryptsetup, "theirs"))
			mounted(t, "/dev/mapper/theirs", func(dir string) {
				require.Equal(t, "ours", readFile(t, filepath.Join(dir, "f")))
				writeFile(t, filepath.Join(dir, "g"), "theirs")
			})
			tool(t, cryptsetup, "close", "theirs")

			s := open(t, disk, longKey, k.open())
			require.Equal(t, k.shown(), statusOf(t, cryptsetup, s.Name()))
			require.Equal(t, "theirs", readFile(t, filepath.Join(s.MountPoint(), "g")))
			require.NoError(t, unix.Unmount(s.MountPoint(), 0))
			tool(t, cryptsetup, "close", s.Name())
			require.NoError(t, s.Close(), "closed by cryptsetup is closed")

			tool(t, cryptsetup, "open", "--key-file", file, disk, "theirs")
			live, err := storage.StatusOf(t.Context(), "theirs")
			require.NoError(t, err)
			require.Equal(t, storage.StateMapped, live.State)
			require.Empty(t, live.Problems, "a volume that cryptsetup opened is in the profile")
			require.Equal(t, id.String(), live.UUID)
			verified, err := storage.Verify(t.Context(), "theirs", storage.VerifyOptions{})
			require.NoError(t, err)
			require.Equal(t, k != plainKind, verified.Authenticated)
			require.NoError(t, storage.Close(t.Context(), "theirs"))
			require.NoFileExists(t, "/dev/mapper/theirs")
		})
	}
}

// cryptsetup's own volumes, with either key derivation, opened by us.
func TestWeOpenCryptsetups(t *testing.T) { forEachCryptsetup(t, weOpenCryptsetups) }

func weOpenCryptsetups(t *testing.T, cryptsetup string) {
	hmac := []string{"--integrity", "hmac-sha256"}
	pbkdf2 := []string{"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}
	argon2id := []string{"--pbkdf", "argon2id", "--pbkdf-memory", "8192", "--pbkdf-force-iterations", "4"}
	aegis := []string{"--cipher", "aegis128-random", "--key-size", "128", "--integrity", "aead"}
	formats := map[string]struct {
		kind kind
		args []string
	}{
		"hmac,pbkdf2":   {hmacKind, slices.Concat(hmac, pbkdf2)},
		"hmac,argon2id": {hmacKind, slices.Concat(hmac, argon2id)},
		"hmac,label":    {hmacKind, slices.Concat(hmac, pbkdf2, []string{"--label", "a \x1b[2J \xff", "--subsystem", "x"})},
		"none,pbkdf2":   {plainKind, pbkdf2},
		"none,label":    {plainKind, append(pbkdf2, "--label", "x")},
		"aegis,pbkdf2":  {aegisKind, slices.Concat(aegis, pbkdf2, []string{"--label", "x"})},
		"aegis,argon2":  {aegisKind, slices.Concat(aegis, argon2id)},
	}
	if knows(t, cryptsetup, "--integrity-key-size") {
		c := formats["hmac,pbkdf2"]
		c.args = slices.Concat(c.args, []string{"--integrity-key-size", "256", "--label", "x"})
		formats["hmac,key-size"] = c
	}
	for name, c := range formats {
		t.Run(name, func(t *testing.T) {
			disk, file := storagetest.Disk(t, interopSize), keyFile(t, "passphrase")
			luksFormat(t, cryptsetup, disk, file, c.args...)
			tool(t, cryptsetup, "open", "--key-file", file, disk, "theirs")
			tool(t, "mkfs.ext4", "-q", "/dev/mapper/theirs")
			mounted(t, "/dev/mapper/theirs", func(dir string) { writeFile(t, filepath.Join(dir, "f"), "theirs") })
			tool(t, cryptsetup, "close", "theirs")

			s := open(t, disk, "passphrase", c.kind.open())
			require.Equal(t, "theirs", readFile(t, filepath.Join(s.MountPoint(), "f")))
			writeFile(t, filepath.Join(s.MountPoint(), "g"), "ours")
			live, err := s.Status(t.Context())
			require.NoError(t, err)
			require.Empty(t, live.Problems)
			require.Equal(t, c.kind.shown(), statusOf(t, cryptsetup, s.Name()))
			require.NoError(t, s.Close())

			tool(t, cryptsetup, "open", "--key-file", file, disk, "theirs")
			mounted(t, "/dev/mapper/theirs", func(dir string) { require.Equal(t, "ours", readFile(t, filepath.Join(dir, "g"))) })
			require.NoError(t, storage.Close(t.Context(), "theirs"))
		})
	}
}

// luksFormat makes a volume that is inside the profile. The kernel derivation
// is told its cost: a measurement takes seconds.
func luksFormat(t *testing.T, cryptsetup, disk, keyFile string, args ...string) {
	t.Helper()
	tool(t, cryptsetup, append([]string{"luksFormat", "-q", "--type", "luks2", "--cipher", "aes-xts-plain64", "--key-size", "512",
		"--sector-size", "4096", "--key-file", keyFile, disk}, args...)...)
}

// knows reports whether a cryptsetup has an option.
func knows(t *testing.T, cryptsetup, option string) bool {
	t.Helper()
	return strings.Contains(tool(t, cryptsetup, "--help"), option)
}

// status is what cryptsetup says of a live volume.
type status struct {
	kind, cipher string
	keyBits      int
	keyLocation  string
	integrity    string
	sectorSize   int
}

// statusOf reads cryptsetup's status: lines of a name and a value, which begins
// with a word or number and may go on with a unit.
func statusOf(t *testing.T, cryptsetup, name string) status {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(tool(t, cryptsetup, "status", name)) {
		key, value, _ := strings.Cut(line, ":")
		values[strings.TrimSpace(key)], _, _ = strings.Cut(strings.TrimSpace(value), " ")
	}
	number := func(key string) int {
		n, err := strconv.Atoi(values[key])
		require.NoError(t, err, key)
		return n
	}
	return status{values["type"], values["cipher"], number("keysize"), values["key location"], values["integrity"], number("sector size")}
}

// A persistent volume with the small journal of an ephemeral one is as good.
func TestMinimalJournal(t *testing.T) { forEachCryptsetup(t, minimalJournal) }

func minimalJournal(t *testing.T, cryptsetup string) {
	disk := storagetest.Disk(t, interopSize)
	volume{key: longKey, journal: integrity.MinimalJournal}.make(t, disk, "contents")
	s := open(t, disk, longKey, storage.OpenOptions{})
	require.Equal(t, "contents", readFile(t, filepath.Join(s.MountPoint(), "f")))
	require.Contains(t, tool(t, "dmsetup", "table", s.Name()+"_dif"), "journal_sectors:264")
	require.NoError(t, s.Close())

	tool(t, cryptsetup, "open", "--key-file", keyFile(t, longKey), disk, "theirs")
	mounted(t, "/dev/mapper/theirs", func(dir string) { require.Equal(t, "contents", readFile(t, filepath.Join(dir, "f"))) })
	tool(t, cryptsetup, "close", "theirs")
}

// The kernel has the same of a volume, whoever opened it, and cryptsetup says
// the same of it, but for what is below: ours is the mapping with the superblock
// from memory.
func TestSameMappingAsCryptsetup(t *testing.T) { forEachCryptsetup(t, sameMappingAsCryptsetup) }

func sameMappingAsCryptsetup(t *testing.T, cryptsetup string) {
	below := regexp.MustCompile(`(?m)^  (device|loop): .*\n`)
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			disk := storagetest.Disk(t, interopSize)
			persistent(t, disk, longKey, "", k.create())
			layers := []string{"same", "same_dif"}
			if k == plainKind {
				layers = layers[:1]
			}
			look := func() (status string, tables []dm.Table) {
				for _, layer := range layers {
					tables = append(tables, tableWithoutDevice(t, layer))
				}
				return below.ReplaceAllString(tool(t, cryptsetup, "status", "same"), ""), tables
			}
			tool(t, cryptsetup, "open", "--perf-no_write_workqueue", "--key-file", keyFile(t, longKey), disk, "same")
			theirStatus, theirTables := look()
			tool(t, cryptsetup, "close", "same")

			opts := k.open()
			opts.Name, opts.MountPoint = "same", storage.NoMount
			s := open(t, disk, longKey, opts)
			ourStatus, ourTables := look()
			require.Equal(t, theirStatus, ourStatus)
			require.Equal(t, theirTables, ourTables)
			require.NoError(t, s.Close())
		})
	}
}

func tableWithoutDevice(t *testing.T, name string) dm.Table {
	t.Helper()
	control, err := dm.Open()
	require.NoError(t, err)
	defer control.Close()
	table, err := control.Table(name)
	require.NoError(t, err)
	require.Len(t, table, 1)
	switch target := table[0].Target.(type) {
	case dm.Crypt:
		target.Device = dm.Device{}
		table[0].Target = target
	case dm.Integrity:
		target.Device = dm.Device{}
		table[0].Target = target
	}
	return table
}

// Three implementations find one volume key in what Create wrote.
func TestOneVolumeKey(t *testing.T) { forEachCryptsetup(t, oneVolumeKey) }

func oneVolumeKey(t *testing.T, cryptsetup string) {
	disk, file := storagetest.Disk(t, interopSize), keyFile(t, longKey)
	persistent(t, disk, longKey, "", storage.CreateOptions{})
	dumped := filepath.Join(t.TempDir(), "volume-key")
	tool(t, cryptsetup, "luksDump", "-q", "--dump-volume-key", "--volume-key-file", dumped, "--key-file", file, disk)
	key, err := os.ReadFile(dumped)
	require.NoError(t, err)
	require.Len(t, key, 96)
	require.False(t, bytes.Equal(key[:32], key[32:64]), "the halves of an XTS key must differ")

	dev, err := luks.Open(disk)
	require.NoError(t, err)
	defer dev.Close()
	v, err := dev.UnsealVolume(0, []byte(longKey))
	require.NoError(t, err)
	got, err := v.HMAC(crypto.SHA256, []byte("proof"))
	require.NoError(t, err)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("proof"))
	require.Equal(t, mac.Sum(nil), got)
}

// Memory beyond the bound is the caller's decision: the refusal says what to
// raise.
func TestArgon2Memory(t *testing.T) { forEachCryptsetup(t, argon2Memory) }

func argon2Memory(t *testing.T, cryptsetup string) {
	disk := storagetest.Disk(t, interopSize)
	luksFormat(t, cryptsetup, disk, keyFile(t, "passphrase"), "--pbkdf", "argon2id", "--pbkdf-memory", "66000", "--pbkdf-force-iterations", "4", "--pbkdf-parallel", "1")
	before := writes(t, disk)
	opts := storage.OpenOptions{Integrity: storage.NoIntegrity, MountPoint: storage.NoMount}
	for _, key := range []string{"passphrase", "wrong"} {
		_, err := tryOpen(t, disk, key, opts)
		require.ErrorIs(t, err, storage.ErrHeaderRejected)
		require.ErrorContains(t, err, "found 66000, expected 32 to 65536 KiB")
		require.ErrorContains(t, err, "MaxArgon2Memory")
		var e *storage.Error
		require.ErrorAs(t, err, &e)
		require.Contains(t, e.Hint, "OpenOptions.MaxArgon2Memory")
		require.Equal(t, before, writes(t, disk))
	}
	opts.MaxArgon2Memory = 128 * mib
	open(t, disk, "passphrase", opts)
}
