package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// process is a trusted-store under way.
type process struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command("trusted-store", args...)}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	require.NoError(t, p.Start())
	return p
}

// end waits for the process and returns its exit status, -1 after a signal.
func (p *process) end() int {
	_ = p.Wait() // the status says it
	return p.ProcessState.ExitCode()
}

// runs runs a command line to its end, which must have this status.
func runs(t *testing.T, status int, args ...string) *process {
	t.Helper()
	p := launch(t, args...)
	require.Equal(t, status, p.end(), "%v: %s", args, &p.stderr)
	return p
}

// newDisk returns a disk, and slowDisk one that takes its time, so that there is
// a middle of create. Stores on it do not outlive a test that failed.
func newDisk(t *testing.T) string {
	t.Helper()
	disk := storagetest.Disk(t, 64<<20)
	t.Cleanup(func() { closeAllAfterFailure(t) })
	return disk
}

func slowDisk(t *testing.T, delay time.Duration) string {
	t.Helper()
	slow := storagetest.NewFaulty(t, storagetest.Disk(t, 64<<20))
	slow.Set(t, storagetest.Fault{Kind: storagetest.Slow, Delay: delay})
	t.Cleanup(func() { closeAllAfterFailure(t) })
	return slow.Path()
}

// heldDisk returns a disk whose host chooses when it answers.
func heldDisk(t *testing.T) *storagetest.Faulty {
	t.Helper()
	host := storagetest.NewFaulty(t, storagetest.Disk(t, 64<<20))
	t.Cleanup(func() {
		host.Set(t)
		closeAllAfterFailure(t)
	})
	return host
}

var signals = []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}

// Ctrl-C and what service managers send, while create waits for the disk: for where
// the header, the integrity superblock and everything else are.
func TestInterruptedCreateLeavesNothing(t *testing.T) {
	kernel(t)
	host := heldDisk(t)
	dir := filepath.Join(t.TempDir(), "made", "mount")
	for i, place := range []storagetest.Fault{{Length: 16 << 20}, {Offset: 16 << 20, Length: 4096}, {Offset: 16<<20 + 4096}} {
		place.Kind, place.Delay = storagetest.Slow, storagetest.UntilSet
		host.Set(t, place)
		p := launch(t, "create", host.Path(), "--name", "one", "--mount", dir)
		host.AwaitHeld(t)
		require.NoError(t, p.Process.Signal(signals[i]))
		host.Set(t)
		require.Equal(t, exitInterrupted, p.end(), "%s", &p.stderr)
		requireInterrupted(t, p, dir)
	}
}

// The same at any moment, also before the program's first line or after its last.
func TestInterruptedCreateAtAnyMoment(t *testing.T) {
	kernel(t)
	slow := slowDisk(t, 15*time.Millisecond)
	dir := filepath.Join(t.TempDir(), "made", "mount")
	create := []string{"create", slow, "--name", "one", "--mount", dir}
	began := time.Now()
	runs(t, exitDone, create...)
	took := time.Since(began)
	closed := func() {
		runs(t, exitDone, "close", "one")
		require.NoError(t, os.RemoveAll(filepath.Dir(dir)))
	}
	closed()
	for i := range 8 {
		p := launch(t, create...)
		time.Sleep(took * time.Duration(i+1) / 9)
		require.NoError(t, p.Process.Signal(signals[i%len(signals)]))
		switch status := p.end(); {
		case status == exitDone:
			closed()
		case status < 0: // it did not run yet
			require.Empty(t, liveStores(t))
		default:
			require.Equal(t, exitInterrupted, status, "%s", &p.stderr)
			requireInterrupted(t, p, dir)
		}
	}
}

// requireInterrupted looks at what a create left that was to mount below a new
// directory.
func requireInterrupted(t *testing.T, p *process, dir string) {
	t.Helper()
	require.Regexp(t, `^trusted-store: create: /dev/mapper/\S+: [a-z ]+: interrupted\n$`, p.stderr.String())
	require.Empty(t, p.stdout.String())
	require.Empty(t, liveStores(t))
	require.NoDirExists(t, filepath.Dir(dir))
}

// A process that is killed leaves what it made; status shows it, close takes it
// away, and the device can be used again.
func TestKilledCreateIsCleanedUp(t *testing.T) {
	kernel(t)
	slow := slowDisk(t, 5*time.Millisecond)
	dir := filepath.Join(t.TempDir(), "mount")
	create := []string{"create", slow, "--name", "one", "--mount", dir}
	began := time.Now()
	runs(t, exitDone, create...)
	took := time.Since(began)
	runs(t, exitDone, "close", "one")

	states := map[storage.State]int{}
	for i := range 20 {
		p := launch(t, create...)
		time.Sleep(took * time.Duration(i+1) / 20)
		require.NoError(t, p.Process.Kill())
		p.end()
		for _, s := range liveStores(t) {
			require.Equal(t, "one", s.Name)
			states[s.State]++
		}
		runs(t, exitDone, "close", "one", "--if-open")
		require.Empty(t, liveStores(t))
	}
	t.Log("killed creates that take", took, "left", states)
	runs(t, exitDone, create...)
	runs(t, exitDone, "close", dir)
}

func liveStores(t *testing.T) []storage.Status {
	t.Helper()
	list, err := storage.List(t.Context())
	require.NoError(t, err)
	return list
}

// Of several at once on one device one wins; the others say who has it.
func TestCreateTwiceAtOnce(t *testing.T) {
	kernel(t)
	disk := newDisk(t)
	var all []*process
	for _, name := range []string{"one", "two", "three"} {
		all = append(all, launch(t, "create", disk, "--name", name, "--mount", "none"))
	}
	done := 0
	for _, p := range all {
		switch status := p.end(); status {
		case exitDone:
			done++
		default:
			require.Equal(t, exitBusy, status, "%s", &p.stderr)
			require.Regexp(t, `^trusted-store: create: /dev/loop\d+: (in use by mapping (one|two|three)_data`+
				`|another program is working on the device, perhaps another create)\nhint: `, p.stderr.String())
		}
	}
	require.Equal(t, 1, done)
	list := liveStores(t)
	require.Len(t, list, 1)
	runs(t, exitDone, "close", list[0].Name)
}
