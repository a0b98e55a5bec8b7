package dm_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// pretendUdev makes the machine look as if udev ran, with the rules for device-mapper.
func pretendUdev(t *testing.T) {
	t.Helper()
	pretendUdevWith(t, "55-dm.rules")
}

// pretendUdevWith is the same with these rules and no others.
func pretendUdevWith(t *testing.T, rules ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, r := range rules {
		require.NoError(t, os.WriteFile(filepath.Join(dir, r), nil, 0o600))
	}
	t.Cleanup(dm.SetRuleDirs(filepath.Join(dir, "none"), dir))
	const control = "/run/udev/control"
	if _, err := os.Stat(control); err == nil {
		t.Skip("udev runs here: what it would do cannot be played")
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(control), 0o755))
	require.NoError(t, os.WriteFile(control, nil, 0o600))
	t.Cleanup(func() { require.NoError(t, os.Remove(control)) })
}

func TestResumeWaitsForUdevsNode(t *testing.T) {
	c := openControl(t, "zero")
	pretendUdev(t)
	number := create(t, c, "waits", "")
	require.NoError(t, c.Load("waits", zeros(8), dm.LoadOptions{}))
	const delay = 100 * time.Millisecond
	start := time.Now()
	time.AfterFunc(delay, func() { _ = os.Symlink(fmt.Sprintf("../dm-%d", number.Minor), dm.Path("waits")) })
	require.NoError(t, c.Resume("waits"))
	require.GreaterOrEqual(t, time.Since(start), delay)
	target, err := os.Readlink(dm.Path("waits"))
	require.NoError(t, err, "udev's link was replaced")
	require.Equal(t, fmt.Sprintf("../dm-%d", number.Minor), target)

	start = time.Now()
	time.AfterFunc(delay, func() { _ = os.Remove(dm.Path("waits")) })
	require.NoError(t, c.Remove(t.Context(), "waits"))
	require.GreaterOrEqual(t, time.Since(start), delay)
}

func TestResumeHelpsItselfWhenUdevDoesNot(t *testing.T) {
	c := openControl(t, "zero")
	pretendUdev(t)
	c.SetNodeWait(50 * time.Millisecond)
	number := create(t, c, "helps", "")
	load(t, c, "helps", zeros(8))
	require.Equal(t, number, numberOf(t, dm.Path("helps")))
	require.NoError(t, c.Remove(t.Context(), "helps"))
	require.NoFileExists(t, dm.Path("helps"))
}

// Where udev has no rules for device-mapper, nobody makes nodes but this package:
// there is nothing to wait for.
func TestUdevWithoutRules(t *testing.T) {
	c := openControl(t, "zero")
	pretendUdevWith(t, "60-persistent-storage.rules")
	c.SetNodeWait(time.Minute)
	start := time.Now()
	number := create(t, c, "alone", "")
	load(t, c, "alone", zeros(8))
	require.Equal(t, number, numberOf(t, dm.Path("alone")))
	require.NoError(t, c.Remove(t.Context(), "alone"))
	require.NoFileExists(t, dm.Path("alone"))
	require.Less(t, time.Since(start), 30*time.Second)
}

// The kernel's events carry the flags for udev's rules.
func TestEventsKeepRulesAway(t *testing.T) {
	c := openControl(t, "zero")
	pretendUdev(t)
	c.SetNodeWait(0)
	events := listen(t)
	create(t, c, "flags", "")
	load(t, c, "flags", zeros(8))
	require.NoError(t, c.Remove(t.Context(), "flags"))
	// subsystem 2, disk 4, other 8, primary source 64, in the high half
	const want = (2 | 4 | 8 | 64) << 16
	cookie := fmt.Sprintf("DM_COOKIE=%d", want)
	require.Equal(t, cookie, cookieOf(events(), "change@"))
	require.Equal(t, cookie, cookieOf(events(), "remove@"))
}

// listen returns a function that returns all events of the kernel so far.
func listen(t *testing.T) func() []string {
	t.Helper()
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Close(s)) })
	require.NoError(t, unix.Bind(s, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}))
	var all []string
	return func() []string {
		for b := make([]byte, 16384); ; {
			n, _, err := unix.Recvfrom(s, b, 0)
			if err != nil {
				return all
			}
			all = append(all, string(bytes.ReplaceAll(b[:n], []byte{0}, []byte{'\n'})))
		}
	}
}

// cookieOf returns the cookie line of the last event of a kind about a mapping.
func cookieOf(events []string, kind string) string {
	cookie := "no event"
	for _, event := range events {
		if !strings.HasPrefix(event, kind) || !strings.Contains(event, "/block/dm-") {
			continue
		}
		for line := range strings.Lines(event) {
			if strings.HasPrefix(line, "DM_COOKIE=") {
				cookie = strings.TrimSpace(line)
			}
		}
	}
	return cookie
}
