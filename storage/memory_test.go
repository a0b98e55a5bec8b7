package storage_test

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/secret"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// After a store was made, closed, opened and closed again, and the key wiped,
// the process holds neither the key nor the volume's key any more. It runs
// apart, so that the one that looks may know both.
func TestNoKeyStaysInMemory(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	passphrase := make([]byte, 40)
	_, _ = rand.Read(passphrase)
	file := keyFile(t, string(passphrase))
	child := startHolder(t, "TestHolder", disk, file)
	child.expect(t, "holds the key")
	require.NotEmpty(t, child.find(t, map[string][]byte{"key": passphrase}), "the search finds what is there")
	child.proceed(t)
	child.expect(t, "done")

	dumped := filepath.Join(t.TempDir(), "volume-key")
	tool(t, "cryptsetup", "luksDump", "-q", "--dump-volume-key", "--volume-key-file", dumped, "--key-file", file, disk)
	volumeKey, err := os.ReadFile(dumped)
	require.NoError(t, err)
	child.holdsNone(t, map[string][]byte{"key": passphrase, "volume key": volumeKey})
	child.proceed(t)
}

// Whatever is done with a key leaves nothing of it in the registers, nor where the
// kernel and the Go runtime save them when a signal comes: the runtime sends signals
// to switch between goroutines. Here they never stop coming.
func TestNoKeyStaysInRegisters(t *testing.T) {
	if os.Getenv("TRUSTED_STORE_BEDS") == "required" && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") {
		require.True(t, secret.Erases, "tests are built as the commands are, with GOEXPERIMENT=runtimesecret")
	}
	passphrase := make([]byte, 40)
	_, _ = rand.Read(passphrase)
	file, volume := keyFile(t, string(passphrase)), filepath.Join(t.TempDir(), "volume")
	child := startHolder(t, "TestRegisterHolder", volume, file)
	child.expect(t, "done")
	key, _, err := readHeader(t, volume).Unlock(t.Context(), passphrase)
	require.NoError(t, err)
	defer key.Wipe()
	child.holdsNone(t, map[string][]byte{"key": passphrase, "volume key": key.Bytes(), "slot's key": slotKey(t, volume, passphrase)})
	child.proceed(t)
}

// slotKey is what the first key slot's area is encrypted with.
func slotKey(t *testing.T, volume string, passphrase []byte) []byte {
	t.Helper()
	var header struct {
		Keyslots map[string]struct {
			KDF struct {
				Iterations int
				Salt       []byte
			}
		}
	}
	text, _, _ := strings.Cut(readFile(t, volume)[4096:], "\x00") // behind the binary header
	require.NoError(t, json.Unmarshal([]byte(text), &header))
	kdf := header.Keyslots["0"].KDF
	key, err := pbkdf2.Key(sha256.New, string(passphrase), kdf.Salt, kdf.Iterations, 64)
	require.NoError(t, err)
	return key
}

func readHeader(t *testing.T, volume string) *cryptsetup.Header {
	t.Helper()
	f, err := os.Open(volume)
	require.NoError(t, err)
	defer f.Close()
	h, err := cryptsetup.Read(f, cryptsetup.Profile{Integrity: cryptsetup.AnyIntegrity})
	require.NoError(t, err)
	return h
}

// pieces are what must not be found of keys. Where the runtime erases registers
// that is any 8 bytes. Where it does not, no more is promised than that nothing
// holds a whole key.
func pieces(keys map[string][]byte) map[string][]byte {
	needles := map[string][]byte{}
	for name, key := range keys {
		size := len(key)
		if secret.Erases {
			size = 8
		}
		for i := 0; i+size <= len(key); i += size {
			piece := key[i : i+size]
			needles[fmt.Sprintf("%s, bytes %d to %d", name, i, i+size)] = piece
			needles[fmt.Sprintf("%s, bytes %d to %d, as an inner pad of HMAC", name, i, i+size)] = masked(piece, 0x36)
			needles[fmt.Sprintf("%s, bytes %d to %d, as an outer pad of HMAC", name, i, i+size)] = masked(piece, 0x5c)
		}
	}
	return needles
}

func masked(b []byte, mask byte) []byte {
	m := bytes.Clone(b)
	for i := range m {
		m[i] ^= mask
	}
	return m
}
