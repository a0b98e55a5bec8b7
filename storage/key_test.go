package storage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestParseKeySource(t *testing.T) {
	for _, good := range []string{"-", "fd:0", "fd:3", "fd:2147483647", "file:/a", "file:relative", "file:with:colon", "file: "} {
		_, err := storage.ParseKeySource(good)
		require.NoError(t, err, good)
	}
	for _, bad := range []string{"", "--", "stdin", "file", "file:", "fd", "fd:", "fd:-1", "fd:x", "fd:1 ", "fd:2147483648", "fd:0x3", "FILE:/a", "/a", "S3cret!", "env:KEY"} {
		_, err := storage.ParseKeySource(bad)
		require.ErrorIs(t, err, storage.ErrInvalid, bad)
		if len(bad) > 4 {
			require.NotContains(t, err.Error(), bad, "it may be the key itself")
		}
	}
}

func load(t *testing.T, source string, log *slog.Logger) (*storage.Key, error) {
	t.Helper()
	s, err := storage.ParseKeySource(source)
	require.NoError(t, err)
	key, err := s.Load(t.Context(), log)
	if key != nil {
		t.Cleanup(key.Wipe)
	}
	return key, err
}

// sizes of what a source holds, and whether it is a key.
var keySizes = []struct {
	size int
	good bool
}{{0, false}, {1, true}, {2, true}, {4095, true}, {4096, true}, {4097, true}, {storage.MaxKeySize - 1, true}, {storage.MaxKeySize, true}, {storage.MaxKeySize + 1, false}, {2 * storage.MaxKeySize, false}}

func TestKeySizes(t *testing.T) {
	dir := t.TempDir()
	for _, c := range keySizes {
		contents := bytes.Repeat([]byte{0xA5}, c.size)
		path := filepath.Join(dir, "key")
		require.NoError(t, os.WriteFile(path, contents, 0o600))
		fromFile, fileErr := load(t, "file:"+path, nil)
		// A reader that hands out little at a time, as a pipe does.
		fromReader, readerErr := storage.ReadKey(io.LimitReader(bytes.NewReader(contents), int64(c.size)))
		fromBytes, bytesErr := storage.NewKey(bytes.Clone(contents))
		for how, err := range map[string]error{"file": fileErr, "reader": readerErr} {
			if c.good {
				require.NoError(t, err, "%s of %d bytes", how, c.size)
			} else {
				require.ErrorIs(t, err, storage.ErrInvalid, "%s of %d bytes", how, c.size)
			}
		}
		if c.good || c.size == 0 {
			require.Equal(t, c.good, bytesErr == nil)
		}
		fromFile.Wipe()
		fromReader.Wipe()
		fromBytes.Wipe()
		require.NoError(t, os.Remove(path))
	}
}

func TestKeyTooLongOrEmptySaysSo(t *testing.T) {
	_, err := storage.ReadKey(strings.NewReader(""))
	require.ErrorContains(t, err, "empty")
	_, err = storage.ReadKey(io.LimitReader(endless{}, 100<<20))
	require.ErrorContains(t, err, "8 MiB")
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// NewKey takes the bytes over: its caller keeps no copy by mistake.
func TestNewKeyWipes(t *testing.T) {
	b := []byte("open sesame")
	key, err := storage.NewKey(b)
	require.NoError(t, err)
	defer key.Wipe()
	require.Equal(t, make([]byte, len(b)), b)
}

func TestLoadFailures(t *testing.T) {
	dir := t.TempDir()
	for _, source := range []string{"file:" + filepath.Join(dir, "absent"), "file:" + dir, "fd:1999"} {
		_, err := load(t, source, nil)
		require.ErrorIs(t, err, storage.ErrInvalid, source)
	}
	_, err := storage.KeySource{}.Load(t.Context(), nil)
	require.ErrorIs(t, err, storage.ErrInvalid)
}

// What has no key, and may never end, is not read.
func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	for path, want := range map[string]string{
		"/proc/self/status": "makes up", "/proc/kmsg": "makes up", "/sys/kernel/uevent_seqnum": "makes up",
		"/dev/zero": "device", "/dev/null": "device", "/dev/tty": "device", t.TempDir(): "is a directory",
	} {
		_, err := load(t, "file:"+path, nil)
		require.ErrorIs(t, err, storage.ErrInvalid, path)
		require.ErrorContains(t, err, "key: "+path+": ")
		require.ErrorContains(t, err, want)
	}
}

// A pipe is a good place for a key, and is waited for as long as the caller wants,
// whether nobody writes or nobody stops.
func TestLoadFromPipes(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	silent := []string{"file:" + pipe, fmt.Sprint("fd:", r.Fd()), fmt.Sprint("file:/proc/self/fd/", r.Fd())}
	for _, source := range silent {
		s, err := storage.ParseKeySource(source)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err = s.Load(ctx, nil)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, source)
		require.NotErrorIs(t, err, storage.ErrInvalid, source)
	}
	// Those that were given up read on, and get the end.
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(pipe, nil, 0))

	pipe = filepath.Join(t.TempDir(), "pipe") // one of which nobody reads
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	go func() { _ = os.WriteFile(pipe, []byte("open sesame"), 0) }() // Load fails without it
	_, err = load(t, "file:"+pipe, nil)
	require.NoError(t, err)
	path := keyFile(t, "open sesame")
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = load(t, fmt.Sprint("file:/proc/self/fd/", f.Fd()), nil)
	require.NoError(t, err, "a link of the kernel to a file")
}

// The descriptor stays open and its caller's.
func TestLoadFromDescriptor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("k"), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = load(t, fmt.Sprint("fd:", f.Fd()), nil)
	require.NoError(t, err)
	_, err = f.Stat()
	require.NoError(t, err)
}

func TestLoadWarnsOfPermissions(t *testing.T) {
	for mode, warns := range map[os.FileMode]bool{0o400: false, 0o600: false, 0o640: true, 0o604: true, 0o660: true, 0o644: true} {
		path := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(path, []byte("open sesame"), 0o600))
		require.NoError(t, os.Chmod(path, mode))
		var log bytes.Buffer
		_, err := load(t, "file:"+path, slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		require.Equal(t, warns, strings.Contains(log.String(), "level=WARN"), "%v: %s", mode, log.String())
		require.NotContains(t, log.String(), "sesame")
	}
}

func TestKeyPrintsRedacted(t *testing.T) {
	const text = "open sesame"
	key := newKey(t, text)
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("key", "key", key, "in", struct{ Key *storage.Key }{key}, "opts", storage.CreateOptions{Key: key})
	}
	inJSON, err := json.Marshal(struct{ Key *storage.Key }{key})
	require.NoError(t, err)
	inXML, err := xml.Marshal(key)
	require.NoError(t, err)
	printed := []string{log.String(), string(inJSON), string(inXML), key.String()}
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %t %c %U %o %b %e %g %p") {
		printed = append(printed, fmt.Sprintf(verb, key), fmt.Sprintf(verb, *key), fmt.Sprintf(verb, storage.CreateOptions{Key: key}))
	}
	for _, p := range printed {
		require.NotContains(t, p, text)
		require.NotContains(t, strings.ToLower(p), fmt.Sprintf("%x", text))
		require.NotContains(t, p, strings.Trim(fmt.Sprint([]byte(text)), "[]"))
	}
	require.Contains(t, fmt.Sprintf("%#v", key), "[redacted]")
	require.Contains(t, string(inJSON), `"[redacted]"`)
}

// A newline at the end of a file is part of the key, as for cryptsetup.
func TestNewlineIsPartOfTheKey(t *testing.T) {
	kernel(t)
	disk := newDiskWithKey(t, longKey+"\n")
	_, err := tryOpen(t, disk, longKey, storage.OpenOptions{})
	require.ErrorIs(t, err, storage.ErrWrongKey)
	tool(t, "cryptsetup", "open", "--test-passphrase", "--key-file", keyFile(t, longKey+"\n"), disk)
	key, err := load(t, "file:"+keyFile(t, longKey+"\n"), nil)
	require.NoError(t, err)
	s, err := storage.Open(t.Context(), disk, key, storage.OpenOptions{MountPoint: storage.NoMount})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// The shortest and the longest key work, for cryptsetup too.
func TestExtremeKeys(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	for _, text := range []string{"\x00", strings.Repeat("\xff\x00\n", storage.MaxKeySize/3) + "ab"} {
		volume{key: text, kdf: cryptsetup.RandomKeyKDF()}.make(t, disk, "")
		tool(t, "cryptsetup", "open", "--test-passphrase", "--key-file", keyFile(t, text), disk)
		require.NoError(t, open(t, disk, text, storage.OpenOptions{MountPoint: storage.NoMount}).Close())
	}
}
