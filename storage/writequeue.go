package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
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

// lentKeys go by the sequence number of the mapping: names come again, and volumes
// with the UUID of another one and a key of their own exist.
type lentKeys struct {
	mu     sync.Mutex
	byDisk map[uint64]*keyring.Held
}

// hold keeps a key until it is released, or the mapping is gone, whoever removed it.
func (l *lentKeys) hold(mapping dm.Device, id uuid.UUID, key *cryptsetup.VolumeKey) (disk uint64, err error) {
	if disk = diskSequence(mapping); disk == 0 {
		return 0, errors.New("the kernel does not number its disks, as it does since version 5.15")
	}
	held, err := keyring.Hold(cryptsetup.KeyDescription(id), key.Bytes())
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byDisk == nil {
		l.byDisk = map[uint64]*keyring.Held{}
	}
	l.byDisk[disk] = held
	go l.watch(mapping, disk)
	return disk, nil
}

// watchPause is how long a key may outlive a mapping that another process removed.
const watchPause = time.Second

func (l *lentKeys) watch(mapping dm.Device, disk uint64) {
	for l.of(disk) != nil {
		time.Sleep(watchPause)
		if diskSequence(mapping) != disk {
			_ = l.release(disk) // nobody waits for it
		}
	}
}

// of returns nil when this process has no key of the mapping.
func (l *lentKeys) of(disk uint64) *keyring.Held {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byDisk[disk]
}

// release returns when the key is gone, whoever released it.
func (l *lentKeys) release(disk uint64) error {
	err := l.of(disk).Release()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byDisk, disk)
	return err
}

// diskSequence returns a number that no other mapping has had since the machine
// started; 0 from kernels before 5.15, which have none.
func diskSequence(number dm.Device) (sequence uint64) {
	text, err := os.ReadFile("/sys/dev/block/" + number.String() + "/diskseq")
	if err == nil {
		_, _ = fmt.Sscan(string(text), &sequence)
	}
	return sequence
}

// oneCPU reports whether a queue has nothing to spread over.
func oneCPU() bool { return runtime.NumCPU() == 1 }

// getsWriteQueue reports whether the store that was made is to use the queue once
// it has grown.
func (a *activation) getsWriteQueue() bool {
	return a.key != nil && a.mountPoint != NoMount && a.mountFlags&ReadOnly == 0 && !oneCPU()
}

// lendKey keeps the key for when the store has grown.
func (a *activation) lendKey() (disk uint64, err error) {
	if !a.getsWriteQueue() {
		return 0, nil
	}
	control, err := dm.Open()
	if err != nil {
		return 0, err
	}
	mapping, err := control.Info(a.name)
	if err := errors.Join(err, control.Close()); err != nil {
		return 0, err
	}
	return lent.hold(mapping.Device, a.id, a.key)
}

// envGrows tells a process that [Store.StartGrower] starts of which mapping it has
// the key.
const envGrows = "TRUSTED_STORE_GROWS"

// useWriteQueue exchanges the live table for one with the queue. Without the key,
// as in a process that did not make the store and was not given it, all stays as
// it is. The caller has the mapping open, so it is not another one by now.
func useWriteQueue(mapping dm.Info, log *slog.Logger) error {
	disk := diskSequence(mapping.Device)
	held := lent.of(disk)
	if held == nil && (disk == 0 || os.Getenv(envGrows) != fmt.Sprint(disk)) {
		return nil
	}
	began := time.Now()
	err := held.Do(func() error { return exchangeTable(mapping.Name) })
	log.Debug("all CPUs are to encrypt", "store", mapping.Name, "took", time.Since(began).Round(time.Microsecond), "err", err)
	if errors.Is(err, unix.ENOKEY) {
		err = nil // whoever writes goes on encrypting
	}
	if err := errors.Join(err, lent.release(disk)); err != nil {
		return fmt.Errorf("let all CPUs encrypt: %w", err)
	}
	return nil
}

func exchangeTable(name string) error {
	control, err := dm.Open()
	if err != nil {
		return err
	}
	defer control.Close()
	store, err := readLive(control, name)
	if err != nil || store.crypt == nil {
		return err
	}
	return store.exchangeTable(control)
}

func (l *live) exchangeTable(control *dm.Control) error {
	if len(l.crypt.table) != 1 {
		return nil
	}
	target := l.profileCrypt()
	table := dm.Table{{Length: l.crypt.table[0].Length, Target: target}}
	target.Speed.NoWriteWorkqueue = true
	if (dm.Table{{Length: table[0].Length, Target: target}}).Matches(l.crypt.table) != nil {
		return nil // has the queue already, or is another program's
	}
	return control.Replace(l.name, table, dm.LoadOptions{SecureData: true})
}

// StartGrower calls start, which is to start a program that [Grow]s the store in
// the place of this process, such as "trusted-store grow NAME", with the variables
// env in its environment. The program inherits, in a session keyring of its own,
// what it needs at the end, when all CPUs are to encrypt what is written to the
// store: the volume key, which no program can read there. One that is started
// otherwise grows the store as well, but whoever writes encrypts from then on, too.
func (s *Store) StartGrower(start func(env []string) error) error {
	held, env := lent.of(s.disk), []string{}
	if held != nil {
		env = append(env, fmt.Sprintf("%s=%d", envGrows, s.disk))
	}
	if err := held.HandOn(func() error { return start(env) }); err != nil {
		return failure("grow", s.name, "", err)
	}
	return failure("grow", s.name, "", lent.release(s.disk))
}
