package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/keyring"
)

// While a store grows, whoever writes encrypts (dm-crypt's no_write_workqueue):
// a step of growing would wait for everything that is in dm-crypt's queue. At its
// full size all CPUs encrypt, from the queue. The table that says so needs the key
// once more. Until then the kernel keeps it for this process, or for the one that
// grows the store.

// lent are the keys that this process holds for that.
var lent lentKeys

type lentKeys struct {
	mu       sync.Mutex
	byVolume map[uuid.UUID]*keyring.Held
}

func (l *lentKeys) hold(id uuid.UUID, key *cryptsetup.VolumeKey) error {
	held, err := keyring.Hold(keyDescription(id.String()), key.Bytes())
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byVolume == nil {
		l.byVolume = map[uuid.UUID]*keyring.Held{}
	}
	l.byVolume[id] = held
	return nil
}

// of returns nil when this process has no key of the volume.
func (l *lentKeys) of(id uuid.UUID) *keyring.Held {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byVolume[id]
}

func (l *lentKeys) release(id uuid.UUID) error {
	l.mu.Lock()
	held := l.byVolume[id]
	delete(l.byVolume, id)
	l.mu.Unlock()
	return held.Release()
}

// oneCPU reports whether a queue has nothing to spread over.
func oneCPU() bool { return runtime.NumCPU() == 1 }

// getsWriteQueue reports whether the store that was made is to use the queue once
// it has grown. One with its tags in memory grows for as long as it lives.
func (a *activation) getsWriteQueue() bool {
	return a.key != nil && a.mountPoint != NoMount && a.mountFlags&ReadOnly == 0 && a.tags == nil && !oneCPU()
}

// useWriteQueue exchanges the live table for one with the queue. Without the key,
// as in a process that did not make the store and was not given it, all stays as
// it is.
func useWriteQueue(name string, log *slog.Logger) error {
	if oneCPU() {
		return nil
	}
	control, err := dm.Open()
	if err != nil {
		return err
	}
	defer control.Close()
	store, err := readLive(control, name)
	if err != nil || store.crypt == nil {
		return err
	}
	id, err := store.crypt.volumeUUID(cryptPrefix, name)
	if err != nil {
		return err
	}
	began := time.Now()
	err = lent.of(id).Do(func() error { return store.exchangeTable(control, id) })
	log.Debug("all CPUs are to encrypt", "store", name, "took", time.Since(began).Round(time.Microsecond), "err", err)
	if errors.Is(err, unix.ENOKEY) {
		err = nil // whoever writes goes on encrypting
	}
	if err := errors.Join(err, lent.release(id)); err != nil {
		return fmt.Errorf("let all CPUs encrypt: %w", err)
	}
	return nil
}

func (l *live) exchangeTable(control *dm.Control, id uuid.UUID) error {
	if len(l.crypt.table) != 1 {
		return nil
	}
	target := l.profileCrypt(id.String())
	table := dm.Table{{Length: l.crypt.table[0].Length, Target: target}}
	target.NoWriteWorkqueue = true
	if (dm.Table{{Length: table[0].Length, Target: target}}).Matches(l.crypt.table) != nil {
		return nil // has the queue already, or is another program's
	}
	if err := control.Load(l.name, table, dm.LoadOptions{SecureData: true}); err != nil {
		return err
	}
	if err := control.Exchange(l.name); err != nil {
		return errors.Join(err, control.Clear(l.name))
	}
	live, err := control.Table(l.name)
	if err != nil {
		return err
	}
	return table.Matches(live)
}

// releaseKey is for a store that is gone.
func (l *live) releaseKey() error {
	if l.crypt == nil {
		return nil
	}
	id, err := l.crypt.volumeUUID(cryptPrefix, l.name)
	if err != nil {
		return nil // not one of ours
	}
	return lent.release(id)
}

// StartGrower starts c, a program that is to [Grow] the store in the place of
// this process, such as "trusted-store grow NAME". It inherits, in a session
// keyring of its own, what it needs at the end, when all CPUs are to encrypt what
// is written to the store: the volume key, which no program can read there. A
// program that is started otherwise grows the store as well, but whoever writes
// encrypts from then on, too.
func (s *Store) StartGrower(c *exec.Cmd) error {
	if err := lent.of(s.id).Start(c); err != nil {
		return failure("grow", s.name, "", err)
	}
	return failure("grow", s.name, "", lent.release(s.id))
}
