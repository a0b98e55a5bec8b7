package securemount

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const makerDisk = "TRUSTED_STORE_MAKER"

// TestMaker is the process that leaveHalfMade kills: it stops before the step that
// comes after both mappings of a store.
func TestMaker(t *testing.T) {
	disk := os.Getenv(makerDisk)
	if disk == "" {
		t.Skip("runs as a process of another test")
	}
	_, err := storage.Create(t.Context(), disk, storage.CreateOptions{
		MountPoint: storage.NoMount, Overwrite: storage.OverwriteAnything,
		Progress: func(storage.Progress) {
			list, err := storage.List(t.Context())
			require.NoError(t, err)
			if len(list) == 1 && list[0].Number != "" {
				fmt.Println(halfWay)
				select {}
			}
		},
	})
	require.NoError(t, err)
}

const halfWay = "half-way"

// leaveHalfMade kills a process that has made both mappings of a store, and not yet
// all of it.
func leaveHalfMade(t *testing.T, disk string) {
	t.Helper()
	maker := exec.Command(os.Args[0], "-test.run=^TestMaker$")
	maker.Env = append(os.Environ(), makerDisk+"="+disk)
	out, err := maker.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, maker.Start())
	said := ""
	for lines := bufio.NewScanner(out); said != halfWay; { // until it says so, or ends
		require.True(t, lines.Scan(), "the maker ended after saying %q", said)
		said = lines.Text()
	}
	list, err := storage.List(t.Context())
	require.NoError(t, maker.Process.Kill())
	require.Error(t, maker.Wait())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.True(t, list[0].Unfinished)
	require.Equal(t, storage.StateIncomplete, list[0].State)
}

// What a process that died left on the device is taken away, by the next request
// or by the next service.
func TestHalfMadeIsTakenAway(t *testing.T) {
	s := serve(t, Options{})
	disk, dir := storagetest.Disk(t, small), newDir(t)
	leaveHalfMade(t, disk)
	require.Equal(t, storage.StateMounted, s.do(t, request(t, disk, dir)).State)
	s.unmountStore(t, dir)
	leaveHalfMade(t, disk)
	s.restart(t)
	require.Eventually(t, func() bool {
		list, err := storage.List(t.Context())
		require.NoError(t, err)
		return len(list) == 0
	}, time.Minute, time.Millisecond)
}

// The host takes the header of a store that is live and whole: the store stays, with
// what is on it, and with a key nobody formats the device.
func TestHeaderTakenBelowLiveStore(t *testing.T) {
	s := serve(t, Options{})
	for _, keyed := range []bool{false, true} {
		disk, dir := storagetest.Disk(t, small), newDir(t)
		var options []string
		if keyed {
			options = []string{"key", writeKey(t, longKey)}
		}
		req := request(t, disk, dir, options...)
		made := s.do(t, req)
		writeFile(t, filepath.Join(dir, "f"), "kept")
		require.NoError(t, unix.Unmount(dir, 0))
		storagetest.WriteBytes(t, disk, 0, make([]byte, 4096))
		s.restart(t)
		if keyed {
			s.refused(t, req, codes.FailedPrecondition, "header rejected")
			_, err := storage.MountLive(t.Context(), made.Name, storage.MountOptions{MountPoint: dir})
			require.NoError(t, err)
		} else {
			require.Equal(t, made.UUID, s.do(t, req).UUID)
		}
		require.Equal(t, "kept", readFile(t, filepath.Join(dir, "f")))
		s.unmountStore(t, dir)
	}
}

// A mapping of another program stays, whatever its name and the device below it: also
// one that looks as cryptsetup's do while it opens a volume.
func TestOthersMappingsStay(t *testing.T) {
	s := serve(t, Options{})
	disk := storagetest.Disk(t, small)
	id := strings.ReplaceAll(uuid.NewString(), "-", "")
	const name = storage.NamePrefix + "other"
	tool(t, "dmsetup", "create", name+"_dif", "--uuid", "CRYPT-INTEGRITY-"+id+"-"+name+"_dif",
		"--table", "0 1024 linear "+disk+" 32768")
	defer tool(t, "dmsetup", "remove", name+"_dif")
	s.restart(t)
	s.refused(t, request(t, disk, newDir(t)), codes.AlreadyExists, "encryption layer is missing")
	require.Contains(t, tool(t, "dmsetup", "info", name+"_dif"), "ACTIVE")
	tool(t, "dmsetup", "create", name, "--table", "0 1024 linear "+disk+" 65536")
	defer tool(t, "dmsetup", "remove", name)
	s.restart(t)
	require.Contains(t, tool(t, "dmsetup", "info", name), "ACTIVE")
}

// A disk that stalls below a store that is not mounted, whole or not, keeps neither a
// service from its start nor another store from being made.
func TestServiceStartsWhileDiskStalls(t *testing.T) {
	s := serve(t, Options{})
	host, dir := storagetest.NewFaulty(t, storagetest.Disk(t, small)), newDir(t)
	live := s.do(t, request(t, host.Path(), dir))
	require.NoError(t, unix.Unmount(dir, 0))
	host.Hold(t)
	defer host.Set(t) // before the disks go
	s.restart(t)
	other := newDir(t)
	s.do(t, request(t, storagetest.Disk(t, small), other))
	s.unmountStore(t, other)
	markUnfinished(t, live)
	s.restart(t)
	s.do(t, request(t, storagetest.Disk(t, small), other))
	s.unmountStore(t, other)
}

// markUnfinished makes of a store one that a process died while closing.
func markUnfinished(t *testing.T, live *storage.Status) {
	t.Helper()
	control, err := dm.Open()
	require.NoError(t, err)
	_, err = control.Create(live.Name+"_unfinished", "TRUSTED-STORE-UNFINISHED-"+live.DeviceNumber+"-"+live.Name)
	require.NoError(t, err)
	require.NoError(t, control.Close())
}

// A device that failed below a live store, as after a hot-unplug, shows in the status
// and in the answer to the same request.
func TestDeadDevice(t *testing.T) {
	s := serve(t, Options{})
	disk, dir := storagetest.Disk(t, small), newDir(t)
	const sectors = "131072" // small
	tool(t, "dmsetup", "create", "plug", "--table", "0 "+sectors+" linear "+disk+" 0")
	t.Cleanup(func() { tool(t, "dmsetup", "remove", "plug") })
	req := request(t, "/dev/mapper/plug", dir)
	live := s.do(t, req)
	require.Empty(t, live.Problems)
	s.do(t, req)
	tool(t, "dmsetup", "suspend", "--nolockfs", "--noflush", "plug")
	tool(t, "dmsetup", "load", "plug", "--table", "0 "+sectors+" error")
	tool(t, "dmsetup", "resume", "plug")
	status, err := storage.StatusOf(t.Context(), dir)
	require.NoError(t, err)
	require.Len(t, status.Problems, 1)
	require.Contains(t, status.Problems[0], "the device fails")
	s.refused(t, req, codes.AlreadyExists, "the device fails")
	require.NoError(t, storage.Close(context.Background(), dir))
}
