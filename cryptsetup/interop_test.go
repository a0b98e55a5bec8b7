package cryptsetup_test

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/anatol/luks.go"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return string(out)
}

// volumeFile writes a header into a sparse file that is large enough for
// cryptsetup.
func volumeFile(t *testing.T, h *cryptsetup.Header) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "volume")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Truncate(64<<20))
	require.NoError(t, h.Write(f))
	return path
}

func keyFile(t *testing.T, key []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, key, 0o600))
	return path
}

// keysAndKDFs are the key slots that interoperation is tried with.
func keysAndKDFs() (keys [][]byte, kdfs []cryptsetup.KDF) {
	random := make([]byte, 64)
	_, _ = rand.Read(random)
	return [][]byte{random, []byte("correct horse"), []byte("x")},
		[]cryptsetup.KDF{cryptsetup.RandomKeyKDF(), cryptsetup.Argon2id{Time: 2, MemoryKiB: 1024, Threads: 2}, cryptsetup.PBKDF2{Iterations: 2000}}
}

// luks.go is an independent reader: it must open our key slots and find the
// same volume key, which it proves by an HMAC with it.
func TestLuksGoFindsTheSameVolumeKey(t *testing.T) {
	for _, i := range []cryptsetup.Integrity{cryptsetup.HMACSHA256, cryptsetup.None, cryptsetup.AEAD} {
		_, h, key := newVolume(t, i)
		keys, kdfs := keysAndKDFs()
		for n := range keys {
			_, err := h.AddKeyslot(keys[n], key, kdfs[n])
			require.NoError(t, err)
		}
		dev, err := luks.Open(volumeFile(t, h))
		require.NoError(t, err)
		defer dev.Close()
		require.Equal(t, h.UUID().String(), dev.UUID())
		require.ElementsMatch(t, []int{0, 1, 2}, dev.Slots())
		for n := range keys {
			v, err := dev.UnsealVolume(n, keys[n])
			require.NoError(t, err, "%v, slot %d", i, n)
			got, err := v.HMAC(crypto.SHA256, []byte("proof"))
			require.NoError(t, err)
			mac := hmac.New(sha256.New, key.Bytes())
			mac.Write([]byte("proof"))
			require.Equal(t, mac.Sum(nil), got)
			require.EqualValues(t, cryptsetup.DataOffset, v.StorageOffset)
		}
	}
}

func TestCryptsetupOpensWhatWeWrite(t *testing.T) {
	cryptsetup.ForEachCryptsetup(t, cryptsetupOpensWhatWeWrite)
}

func cryptsetupOpensWhatWeWrite(t *testing.T, tool string) {
	for _, i := range []cryptsetup.Integrity{cryptsetup.HMACSHA256, cryptsetup.None, cryptsetup.AEAD} {
		t.Run(i.String(), func(t *testing.T) {
			_, h, key := newVolume(t, i)
			keys, kdfs := keysAndKDFs()
			for n := range keys {
				_, err := h.AddKeyslot(keys[n], key, kdfs[n])
				require.NoError(t, err)
			}
			path := volumeFile(t, h)
			run(t, tool, "isLuks", "--type", "luks2", path)
			before := fingerprint(t, path)
			for n := range keys {
				run(t, tool, "open", "--test-passphrase", "--key-slot", fmt.Sprint(n), "--key-file", keyFile(t, keys[n]), path)
			}
			require.Equal(t, before, fingerprint(t, path), "cryptsetup found something to repair")
			require.Equal(t, h.Fingerprint(), before)

			dumped := filepath.Join(t.TempDir(), "volume-key")
			run(t, tool, "luksDump", "-q", "--dump-volume-key", "--volume-key-file", dumped, "--key-file", keyFile(t, keys[0]), path)
			got, err := os.ReadFile(dumped)
			require.NoError(t, err)
			require.True(t, bytes.Equal(key.Bytes(), got), "cryptsetup finds another volume key")
		})
	}
}

// A header without key slots says how long the key is, which nothing can be opened
// with: not by a passphrase, and not by asking for the entry that says so.
func TestCryptsetupFindsNoKeySlotToOpen(t *testing.T) {
	cryptsetup.ForEachCryptsetup(t, cryptsetupFindsNoKeySlotToOpen)
}

func cryptsetupFindsNoKeySlotToOpen(t *testing.T, tool string) {
	for _, i := range []cryptsetup.Integrity{cryptsetup.HMACSHA256, cryptsetup.None, cryptsetup.AEAD} {
		_, h, key := newVolume(t, i)
		path := volumeFile(t, h)
		require.Regexp(t, fmt.Sprintf(`0: trusted-store-ephemeral\n\s+Key:\s+%d bits\n\s+Priority:\s+ignored\n`, 8*cryptsetup.VolumeKeySize(i)),
			run(t, tool, "luksDump", path))
		for _, args := range [][]string{
			{"open", "--test-passphrase", path}, {"open", "--test-passphrase", "--key-slot", "0", path},
			{"luksDump", "-q", "--dump-volume-key", path}, {"luksAddKey", "-q", path, keyFile(t, []byte("new"))},
		} {
			for _, k := range [][]byte{key.Bytes(), []byte("x"), make([]byte, cryptsetup.VolumeKeySize(i))} {
				out, err := exec.Command(tool, append(args, "--key-file", keyFile(t, k))...).CombinedOutput()
				var exit *exec.ExitError
				require.ErrorAs(t, err, &exit, "%v: %s", args, out)
				require.Equal(t, 1, exit.ExitCode(), "%v: %s; 2 would be a wrong passphrase: it tried one", args, out)
			}
		}
		require.Equal(t, h.Fingerprint(), fingerprint(t, path))

		_, err := h.AddKeyslot([]byte("one"), key, cheap)
		require.NoError(t, err)
		require.NotContains(t, run(t, tool, "luksDump", volumeFile(t, h)), "ephemeral", "a key slot takes its place")
	}
}

func fingerprint(t *testing.T, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return sha256.Sum256(b[:32768])
}

func readFile(t *testing.T, path string, p cryptsetup.Profile) (*cryptsetup.Header, error) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	return cryptsetup.Read(f, p)
}

// What cryptsetup formats, and then changes, stays inside the profile, and what
// we change cryptsetup reads.
func TestWeOpenWhatCryptsetupWrites(t *testing.T) {
	cryptsetup.ForEachCryptsetup(t, weOpenWhatCryptsetupWrites)
}

func weOpenWhatCryptsetupWrites(t *testing.T, tool string) {
	path := filepath.Join(t.TempDir(), "volume")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 64<<20))
	keys := [][]byte{bytes.Repeat([]byte("0"), 32), []byte("one"), []byte("two"), []byte("three")}
	fast := []string{"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}
	memory := []string{"--pbkdf", "argon2id", "--pbkdf-memory", "1024", "--pbkdf-force-iterations", "4", "--pbkdf-parallel", "2"}
	// Integrity needs device-mapper; the vectors have it.
	run(t, tool, append([]string{"luksFormat", "-q", "--type", "luks2", "--cipher", "aes-xts-plain64", "--key-size", "512",
		"--sector-size", "4096", "--label", "a label", "--subsystem", "a subsystem", "--key-file", keyFile(t, keys[0]), path}, fast...)...)
	run(t, tool, append([]string{"luksAddKey", "-q", "--key-slot", "5", "--key-file", keyFile(t, keys[0]), path, keyFile(t, keys[1])}, memory...)...)
	run(t, tool, append([]string{"luksAddKey", "-q", "--key-file", keyFile(t, keys[0]), path, keyFile(t, keys[2])}, fast...)...)

	profile := cryptsetup.Profile{Integrity: cryptsetup.RequireNone}
	h, err := readFile(t, path, profile)
	require.NoError(t, err)
	key, slot, err := h.Unlock(t.Context(), keys[1])
	require.NoError(t, err)
	defer key.Wipe()
	require.Equal(t, 5, slot)
	requireOpens(t, h, string(keys[2]), key)

	require.NoError(t, h.RemoveKeyslot(0))
	_, err = h.AddKeyslot(keys[3], key, cheap)
	require.NoError(t, err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, h.WriteSync(f))
	require.NoError(t, f.Close())
	require.Regexp(t, `Label:\s+a label\nSubsystem:\s+a subsystem\n`, run(t, tool, "luksDump", path), "our change keeps them")
	for _, k := range keys[1:] {
		run(t, tool, "open", "--test-passphrase", "--key-file", keyFile(t, k), path)
	}
	run(t, tool, "luksKillSlot", "-q", "--key-file", keyFile(t, keys[3]), path, "5")
	run(t, tool, "luksRemoveKey", "-q", path, keyFile(t, keys[2]))
	h, err = readFile(t, path, profile)
	require.NoError(t, err)
	require.Len(t, h.Keyslots(), 1)
	requireOpens(t, h, string(keys[3]), key)
}

func TestCryptsetupAcceptsTheGoodVectors(t *testing.T) {
	cryptsetup.ForEachCryptsetup(t, cryptsetupAcceptsTheGoodVectors)
}

func cryptsetupAcceptsTheGoodVectors(t *testing.T, tool string) {
	for _, v := range loadVectors(t, "good") {
		path := filepath.Join(t.TempDir(), v.Name)
		require.NoError(t, os.WriteFile(path, vectorDevice(t, v), 0o600))
		require.NoError(t, os.Truncate(path, 64<<20))
		require.Contains(t, run(t, tool, "luksDump", path), "Version:       \t2", v.Name)
		require.Equal(t, sha256.Sum256(v.Bytes), fingerprint(t, path), "%s was repaired", v.Name)
	}
}
