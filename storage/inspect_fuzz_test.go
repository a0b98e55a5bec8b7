package storage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/storage"
)

const (
	headersSize = 32 << 10
	wholeInput  = 17 << 20
)

// FuzzInspect looks at whole inputs as the command does: the beginning of a device
// and its integrity superblock, both with the fuzzer's changes, three bytes each:
// two of place and one of value. With fix the checksums are right again; an end
// other than 0 cuts the input there. Inputs are short, or the fuzzer would pass
// its time with making them so.
func FuzzInspect(f *testing.F) {
	headers, superblock := goodDevice(f)
	f.Add([]byte{}, []byte{}, false, uint16(0))
	f.Add([]byte{0x10, 0x20, 'x', 0x50, 0x20, 'x'}, []byte{0, 8, 5}, true, uint16(0))
	f.Add([]byte{0, 0, 0, 0x40, 0, 0}, []byte{0, 0, 0}, false, uint16(0))
	f.Add([]byte{}, []byte{}, false, uint16(5000))
	path := filepath.Join(f.TempDir(), "input")
	f.Fuzz(func(t *testing.T, inHeaders, inSuperblock []byte, fix bool, end uint16) {
		h := changed(headers, inHeaders)
		if fix {
			fixChecksums(h)
		}
		if end > 0 {
			h = h[:min(int(end), len(h))]
		}
		writeInput(t, path, h, changed(superblock, inSuperblock), end == 0)
		began := processorTime(t)
		found, err := storage.Inspect(path, storage.InspectOptions{})
		require.NoError(t, err)
		require.Less(t, processorTime(t)-began, time.Second)
		_, err = json.Marshal(found)
		require.NoError(t, err)

		in, err := os.Open(path)
		require.NoError(t, err)
		defer in.Close()
		_, err = cryptsetup.Read(in, cryptsetup.Profile{})
		require.Equal(t, err == nil, found.Header.Accepted, "Inspect and Read agree: %v", err)
		if !found.Accepted() {
			require.NotEmpty(t, violations(found), "a rejection says why")
		}
	})
}

func changed(b, changes []byte) []byte {
	b = bytes.Clone(b)
	for ; len(changes) >= 3; changes = changes[3:] {
		b[(int(changes[0])<<8|int(changes[1]))%len(b)] = changes[2]
	}
	return b
}

// fixChecksums makes the checksum of both copies right.
func fixChecksums(headers []byte) {
	const at = 448
	for c := range slices.Chunk(headers, headersSize/2) {
		clear(c[at : at+64])
		sum := sha256.Sum256(c)
		copy(c[at:], sum[:])
	}
}

// processorTime does not count what other programs of a busy machine take.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func violations(i *storage.Inspection) []string {
	var all []string
	for _, v := range i.Header.Violations {
		all = append(all, v.Rule)
	}
	if i.Superblock != nil {
		for _, v := range i.Superblock.Violations {
			all = append(all, v.Rule)
		}
	}
	return all
}

// goodDevice returns what lies on a device that is accepted.
func goodDevice(t testing.TB) (headers, superblock []byte) {
	t.Helper()
	key, err := cryptsetup.NewVolumeKey(cryptsetup.HMACSHA256)
	require.NoError(t, err)
	defer key.Wipe()
	h, err := cryptsetup.New(key, cryptsetup.Options{})
	require.NoError(t, err)
	var w memory
	require.NoError(t, h.Write(&w))
	layout, err := integrity.Plan(wholeInput/512, cryptsetup.DataOffset/512, integrity.MinimalJournal)
	require.NoError(t, err)
	return w[:headersSize], layout.Superblock().Bytes()
}

// memory is an io.WriterAt.
type memory []byte

func (m *memory) WriteAt(b []byte, offset int64) (int, error) {
	if end := int(offset) + len(b); end > len(*m) {
		*m = append(*m, make([]byte, end-len(*m))...)
	}
	return copy((*m)[offset:], b), nil
}

func writeInput(t *testing.T, path string, headers, superblock []byte, whole bool) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, headers, 0o600))
	if !whole {
		return
	}
	require.NoError(t, os.Truncate(path, wholeInput))
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer w.Close()
	_, err = w.WriteAt(superblock[:min(len(superblock), integrity.SuperblockSize)], cryptsetup.DataOffset)
	require.NoError(t, err)
}

func TestInspectAcceptsWhatWeWrite(t *testing.T) {
	headers, superblock := goodDevice(t)
	path := filepath.Join(t.TempDir(), "device")
	writeInput(t, path, headers, superblock, true)
	found, err := storage.Inspect(path, storage.InspectOptions{})
	require.NoError(t, err)
	require.Empty(t, violations(found))
	require.True(t, found.Accepted())

	writeInput(t, path, headers, make([]byte, integrity.SuperblockSize), true)
	found, err = storage.Inspect(path, storage.InspectOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{integrity.RuleZeroed}, violations(found))
	require.False(t, found.Accepted())
}
