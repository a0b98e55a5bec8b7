package storage_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/secret"
	"github.com/trusted-store/trusted-store/storage"
)

// TestHolder is the process that TestNoKeyStaysInMemory looks into.
func TestHolder(t *testing.T) {
	disk, file := heldBy(t)
	source, err := storage.ParseKeySource("file:" + file)
	require.NoError(t, err)
	key, err := source.Load(t.Context(), nil)
	require.NoError(t, err)
	in := bufio.NewReader(os.Stdin)
	say(in, "holds the key")
	dir := filepath.Join(t.TempDir(), "store")
	s, err := storage.Create(t.Context(), disk, storage.CreateOptions{Key: key, MountPoint: dir})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	s, err = storage.Open(t.Context(), disk, key, storage.OpenOptions{MountPoint: dir})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	key.Wipe()
	collect()
	say(in, "done")
}

// TestRegisterHolder is the process that TestNoKeyStaysInRegisters looks into. Each
// use of the key has a thread of its own, which stays with all that was saved of it.
func TestRegisterHolder(t *testing.T) {
	volume, file := heldBy(t)
	stay := make(chan struct{})
	defer close(stay)
	for _, use := range keyUses(volume, file) {
		for _, signalAtEnd := range []bool{false, true} {
			require.NoError(t, onBusyThread(use, signalAtEnd, stay))
		}
	}
	collect()
	say(bufio.NewReader(os.Stdin), "done")
}

// heldBy returns what startHolder was given.
func heldBy(t *testing.T) (disk, keyFile string) {
	t.Helper()
	disk, keyFile, ok := strings.Cut(os.Getenv("TRUSTED_STORE_HOLDER"), ",")
	if !ok {
		t.Skip("runs as a process of another test")
	}
	return disk, keyFile
}

// say tells the test how far the process is, and waits until it has seen that, or
// has ended.
func say(in *bufio.Reader, what string) {
	fmt.Println(what)
	_, _ = in.ReadString('\n')
}

// collect has everything erased that is unused: what a sync.Pool keeps, by the
// second collection.
func collect() {
	runtime.GC()
	runtime.GC()
}

// keyUses are the ways in which keys go through the program's memory. The first
// makes the volume that the others read.
func keyUses(volume, file string) []func() error {
	withKey := func(use func(passphrase *secret.Bytes) error) func() error {
		return func() error {
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			defer f.Close()
			passphrase, err := secret.ReadAll(f, storage.MaxKeySize)
			if err != nil {
				return err
			}
			defer passphrase.Wipe()
			return use(passphrase)
		}
	}
	kdf := []cryptsetup.KDF{cryptsetup.RandomKeyKDF()}
	if secret.Erases { // argon2 leaves its input in memory that only the runtime reaches
		kdf = append(kdf, cryptsetup.Argon2id{Time: 1, MemoryKiB: 64, Threads: 1})
	}
	return []func() error{
		withKey(func(passphrase *secret.Bytes) error { return makeVolume(volume, passphrase.Bytes(), kdf) }),
		withKey(func(*secret.Bytes) error { return nil }),
		func() error { return moveKey(file) },
		withKey(func(passphrase *secret.Bytes) error { return unlock(volume, passphrase.Bytes()) }),
	}
}

// makeVolume writes a header with a key slot for each kdf.
func makeVolume(volume string, passphrase []byte, kdf []cryptsetup.KDF) error {
	key, err := cryptsetup.NewVolumeKey(cryptsetup.HMACSHA256)
	if err != nil {
		return err
	}
	defer key.Wipe()
	h, err := cryptsetup.New(key, cryptsetup.Options{Integrity: cryptsetup.HMACSHA256})
	if err != nil {
		return err
	}
	for _, k := range kdf {
		if _, err := h.AddKeyslot(passphrase, key, k); err != nil {
			return err
		}
	}
	f, err := os.Create(volume)
	if err != nil {
		return err
	}
	defer f.Close()
	return errors.Join(f.Truncate(cryptsetup.DataOffset), h.Write(f))
}

func moveKey(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	key, err := storage.NewKey(b)
	key.Wipe()
	return err
}

// unlock uses the header as key check and open do, with a wrong key too.
func unlock(volume string, passphrase []byte) error {
	f, err := os.Open(volume)
	if err != nil {
		return err
	}
	defer f.Close()
	h, err := cryptsetup.Read(f, cryptsetup.Profile{Integrity: cryptsetup.AnyIntegrity})
	if err != nil {
		return err
	}
	if _, _, err := h.Unlock(context.Background(), passphrase[1:]); !errors.Is(err, cryptsetup.ErrWrongKey) {
		return fmt.Errorf("with a part of the key: %w", err)
	}
	key, _, err := h.Unlock(context.Background(), passphrase)
	key.Wipe()
	return err
}

// onBusyThread runs use on a thread of its own, while the runtime keeps taking the
// CPU away from it. Registers that still hold what use left there are saved once
// more by a signal at its end.
func onBusyThread(use func() error, signalAtEnd bool, stay <-chan struct{}) error {
	thread, done := make(chan int), make(chan error)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		err := use()
		if signalAtEnd {
			_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGURG)
		}
		done <- err
		<-stay
	}()
	for tid := <-thread; ; runtime.GC() {
		select {
		case err := <-done:
			return err
		default:
			_ = unix.Tgkill(unix.Getpid(), tid, unix.SIGURG)
		}
	}
}
