package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// These tests boot kernels. They skip where the beds are not installed, but not
// in `make test`, which sets TRUSTED_STORE_BEDS=required.

// built is this program, once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "guest-test-*")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "guest"), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return filepath.Join(dir, "guest"), nil
})

func TestMain(m *testing.M) {
	if os.Getenv(watchMark) != "" || os.Getenv(initMark) != "" && os.Getpid() == 1 {
		main()
	}
	status := m.Run()
	if path, err := built(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(status)
}

// inBothBeds runs a test once for each bed.
func inBothBeds(t *testing.T, test func(t *testing.T, g *guest)) {
	for _, bed := range []string{"uml", "qemu"} {
		t.Run(bed, func(t *testing.T) { test(t, newGuest(t, bed)) })
	}
}

// guest runs this program with one bed.
type guest struct {
	path, bed string
	flags     []string // of every guest
	env       []string
}

func newGuest(t *testing.T, bed string, flags ...string) *guest {
	t.Helper()
	if os.Getenv("TRUSTED_STORE_BED") != "" {
		t.Skip("this is a guest already: guests are not nested")
	}
	o, err := parse(slices.Concat([]string{"-bed", bed}, flags, []string{"true"}), os.Environ(), os.Stderr)
	require.NoError(t, err)
	if missing := newBed(o).missing(); !missing.empty() && os.Getenv("TRUSTED_STORE_BEDS") != "required" {
		t.Skip(errNotInstalled(bed, missing))
	}
	path, err := built()
	require.NoError(t, err)
	return &guest{path: path, bed: bed, flags: flags, env: os.Environ()}
}

// outcome is what a caller of the program sees.
type outcome struct {
	status         int
	stdout, stderr string
}

func (g *guest) command(flags []string, args ...string) *exec.Cmd {
	all := slices.Concat([]string{"-bed", g.bed, "-mem", "512M"}, g.flags, flags, []string{"--"}, args)
	cmd := exec.Command(g.path, all...)
	cmd.Env = g.env
	return cmd
}

func (g *guest) run(t *testing.T, flags []string, args ...string) outcome {
	t.Helper()
	return outcomeOf(t, g.command(flags, args...))
}

func (g *guest) shell(t *testing.T, script string, flags ...string) outcome {
	t.Helper()
	return g.run(t, flags, "busybox", "sh", "-c", script)
}

func outcomeOf(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// A guest that does not answer is killed and followed by another; only the last
// one's silence is an error.
func TestGuestBootsAgain(t *testing.T) {
	newGuest(t, "uml")
	o, err := parse([]string{"-mem", "512M", "-disk", "1G", "busybox", "sh", "-c", "blockdev --getsize64 $TRUSTED_STORE_DISKS"}, nil, os.Stderr)
	require.NoError(t, err)
	limits := bootLimits
	defer func() { bootLimits = limits }()

	bootLimits = []time.Duration{time.Millisecond, limits[len(limits)-1]}
	var stdout, stderr bytes.Buffer
	status, err := runGuest(o, &stdout, &stderr)
	require.NoError(t, err)
	require.Zero(t, status, stderr.String())
	require.Equal(t, "1073741824\n", stdout.String())
	require.Equal(t, 1, strings.Count(stderr.String(), "booting another"), stderr.String())

	bootLimits = []time.Duration{time.Millisecond, time.Millisecond}
	_, err = runGuest(o, &stdout, &stderr)
	var timeout *timeoutError
	require.ErrorAs(t, err, &timeout)
}

func TestGuestPassesEverythingThrough(t *testing.T) {
	inBothBeds(t, func(t *testing.T, g *guest) {
		g.env = append(g.env, "GUEST_TEST_VALUE=a b\xff", "PWD=")
		cmd := g.command([]string{"-disk", "56G,1T"}, "busybox", "sh", "-c", `
			cat
			printf 'a\nb\r\n' >&2
			echo "$GUEST_TEST_VALUE|$TRUSTED_STORE_BED|$DM_DISABLE_UDEV|$TMPDIR|$(pwd)|$1"
			for d in $(echo $TRUSTED_STORE_DISKS | tr : ' '); do blockdev --getsize64 $d; done
			id -u; ls -d /dev/mapper/control /dev/shm /dev/pts /sys/fs/cgroup/cgroup.procs
			ping -c 1 127.0.0.1 >/dev/null && echo reached
			exit 3`, "sh", "an argument")
		cmd.Stdin = strings.NewReader(strings.Repeat("0123456789abcde\n", 1000))
		o := outcomeOf(t, cmd)
		dir, err := os.Getwd()
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("0123456789abcde\n", 1000)+
			"a b\xff|"+g.bed+"|1|/tmp|"+dir+"|an argument\n60129542144\n1099511627776\n0\n"+
			"/dev/mapper/control\n/dev/pts\n/dev/shm\n/sys/fs/cgroup/cgroup.procs\nreached\n", o.stdout)
		require.Equal(t, "a\nb\r\n", o.stderr)
		require.Equal(t, 3, o.status)
	})
}

// TestGuestBootsKernels boots what the other tests do not: they take the default
// kernels. `make kernels` boots arm64.
func TestGuestBootsKernels(t *testing.T) {
	for _, k := range []kernelID{
		{"uml", "6.1", "amd64"}, {"uml", "6.12", "amd64"}, {"uml", newest, "amd64"},
		{"qemu", newest, "amd64"}, {"qemu", "6.12", "s390x"},
	} {
		t.Run(k.String(), func(t *testing.T) {
			g := newGuest(t, k.bed, "-kernel", k.series, "-arch", k.arch)
			o := g.shell(t, `
				uname -r; uname -m
				for d in $(echo $TRUSTED_STORE_DISKS | tr : ' '); do blockdev --getsize64 $d; done
				printf %s key > /tmp/key
				cryptsetup luksFormat -q --integrity hmac-sha256 --integrity-no-wipe --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file /tmp/key ${TRUSTED_STORE_DISKS%%:*}
				cryptsetup open --key-file /tmp/key ${TRUSTED_STORE_DISKS%%:*} volume && cryptsetup close volume`,
				"-disk", "64M,1T")
			require.Zero(t, o.status, o.stderr)
			lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
			require.True(t, inSeries(lines[0], k.series), lines[0])
			require.Equal(t, map[string]string{"amd64": "x86_64", "s390x": "s390x"}[k.arch], lines[1])
			require.Equal(t, []string{"67108864", "1099511627776"}, lines[2:])
		})
	}
}

// TestGuestHasAES looks for the instructions that guests in clouds have.
func TestGuestHasAES(t *testing.T) {
	g := newGuest(t, "qemu")
	o := g.shell(t, "grep driver /proc/crypto")
	require.Zero(t, o.status, o.stderr)
	require.Contains(t, o.stdout, "xts-aes-aesni")
}

// TestGuestHasTheNewestCryptsetup compares it with the host's own, in both beds.
func TestGuestHasTheNewestCryptsetup(t *testing.T) {
	inBothBeds(t, func(t *testing.T, g *guest) {
		o, err := parse([]string{"true"}, os.Environ(), os.Stderr)
		require.NoError(t, err)
		if _, ok := newToolsDir(o.cache); !ok && os.Getenv("TRUSTED_STORE_BEDS") != "required" {
			t.Skip("not fetched: go tool guest setup " + newCryptsetup)
		}
		out := g.shell(t, newCryptsetup+" --version && cryptsetup --version")
		require.Zero(t, out.status, out.stderr)
		lines := strings.Split(out.stdout, "\n")
		require.Equal(t, 1, slices.Compare(numbers(lines[0]), numbers(lines[1])), out.stdout)
	})
}

func TestGuestReportsSuccessAndSignals(t *testing.T) {
	g := newGuest(t, "uml")
	require.Equal(t, outcome{}, g.shell(t, "exit 0"))
	require.Equal(t, outcome{status: 128 + 9}, g.shell(t, "kill -9 $$"))
}

func TestGuestSeesTheModulesOfItsKernel(t *testing.T) {
	g := newGuest(t, "uml")
	require.Equal(t, outcome{}, g.shell(t, `test -d "$TRUSTED_STORE_MODULES/kernel"`))
}

func TestGuestDetectsWhatIsLeft(t *testing.T) {
	g := newGuest(t, "uml")
	o := g.shell(t, `
		truncate -s 1M /tmp/image; losetup -f /tmp/image
		mkdir /tmp/m; mount -t tmpfs left /tmp/m
		echo 0 2048 zero | dmsetup create left`)
	require.Equal(t, statusLeaks, o.status, o.stderr)
	require.Contains(t, o.stderr, "loop device /dev/loop0 on /tmp/image")
	require.Contains(t, o.stderr, "mount /tmp/m of type tmpfs from left")
	require.Contains(t, o.stderr, "mapping left (dm-0)")
}

func TestGuestIsKilledAtItsTimeout(t *testing.T) {
	g := newGuest(t, "uml")
	o := g.shell(t, "echo started; sleep 600", "-timeout", "15s")
	require.Equal(t, statusTimeout, o.status)
	require.Equal(t, "started\n", o.stdout)
	require.Contains(t, o.stderr, "killed after 15s")
}

func TestGuestThatDiesIsNoSuccess(t *testing.T) {
	inBothBeds(t, func(t *testing.T, g *guest) {
		// It dies when its output has come: what is still in the guest's memory dies
		// with it.
		cmd := g.command(nil, "busybox", "sh", "-c", "echo before; read go; echo c > /proc/sysrq-trigger; sleep 60")
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "before\n", line)
		_, err = fmt.Fprintln(stdin)
		require.NoError(t, err)
		require.Error(t, cmd.Wait())
		require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
		require.Contains(t, stderr.String(), "kernel panic: not syncing: sysrq triggered crash")
	})
}

func TestGuestWithoutItsCommandFails(t *testing.T) {
	g := newGuest(t, "uml")
	o := g.run(t, nil, "no-such-command-anywhere")
	require.Equal(t, statusFailed, o.status)
	require.Contains(t, o.stderr, "no-such-command-anywhere")
}

func TestGuestLimitsRequests(t *testing.T) {
	g := newGuest(t, "qemu")
	const limit, requests = 100, 200
	o := g.shell(t, fmt.Sprintf("fio --name=test --filename=$TRUSTED_STORE_DISKS --rw=randwrite --bs=4k --direct=1 --thread --number_ios=%d --output-format=json", requests),
		"-disk", "64M", "-iops", fmt.Sprint(limit))
	require.Equal(t, 0, o.status, o.stderr)
	var out struct {
		Jobs []struct {
			Write struct {
				Requests int `json:"total_ios"`
				Runtime  int // in milliseconds
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(o.stdout), &out), o.stdout)
	require.Equal(t, requests, out.Jobs[0].Write.Requests)
	// QEMU lets the requests of a tenth of a second through at once.
	require.GreaterOrEqual(t, out.Jobs[0].Write.Runtime, 1000*requests/limit-400)
}

func TestGuestBedThatIsMissingFails(t *testing.T) {
	g := newGuest(t, "qemu")
	o := g.run(t, []string{"-cache", t.TempDir()}, "true")
	require.Equal(t, statusFailed, o.status)
	require.Contains(t, o.stderr, "go tool guest setup qemu-newest-amd64")
	dir := t.TempDir()
	o = g.run(t, []string{"-kernel", dir}, "true")
	require.Equal(t, statusFailed, o.status)
	require.Contains(t, o.stderr, "no readable kernel with its modules in "+dir)
}

func TestGuestLeavesTheHostAlone(t *testing.T) {
	inBothBeds(t, func(t *testing.T, g *guest) {
		dir := t.TempDir()
		writeFile(t, dir+"/input", []byte("from the host"))
		o := g.shell(t, "cat "+dir+"/input; mkdir -p "+dir+"/out "+dir+"/other; echo x > "+dir+"/out/kept; echo x > "+dir+"/other/lost",
			"-out", dir+"/out", "-file", dir)
		require.Equal(t, outcome{stdout: "from the host"}, o)
		kept, err := os.ReadFile(dir + "/out/kept")
		require.NoError(t, err)
		require.Equal(t, "x\n", string(kept))
		require.NoDirExists(t, dir+"/other")
	})
}

// TestGuestRunsGoTests runs this package's own pure tests in a guest and wants
// their coverage back.
func TestGuestRunsGoTests(t *testing.T) {
	inBothBeds(t, func(t *testing.T, g *guest) {
		profile := t.TempDir() + "/cover.out"
		cmd := exec.Command("go", "test", "-count=1", "-run", "ByteSize|NewDisks|PackedTree", "-v",
			"-exec", g.path+" -bed "+g.bed, "-coverprofile", profile, ".")
		cmd.Env = append(g.env, "CGO_ENABLED=0")
		o := outcomeOf(t, cmd)
		require.Equal(t, 0, o.status, o.stdout+o.stderr)
		require.Contains(t, o.stdout, "--- PASS: TestNewDisksHaveNoName")
		text, err := os.ReadFile(profile)
		require.NoError(t, err)
		require.Contains(t, string(text), "internal/guest/disks.go")
	})
}

// TestGuestDiesWithItsRunner kills the tool and looks for its kernel, which
// holds the file of its disk open.
func TestGuestDiesWithItsRunner(t *testing.T) {
	inBothBeds(t, func(t *testing.T, g *guest) {
		image := t.TempDir() + "/image"
		writeFile(t, image, make([]byte, 1<<20))
		cmd := g.command([]string{"-disk", image}, "busybox", "sh", "-c", "echo up; sleep 600")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = out.Read(make([]byte, 3))
		require.NoError(t, err)
		require.NotZero(t, holders(t, image))
		require.NoError(t, cmd.Process.Signal(unix.SIGKILL))
		require.Error(t, cmd.Wait())
		require.Eventually(t, func() bool { return holders(t, image) == 0 }, 10*time.Second, 20*time.Millisecond)
	})
}

// holders counts the processes that have the file open.
func holders(t *testing.T, path string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	require.NoError(t, err)
	n := 0
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil && target == path {
			n++
		}
	}
	return n
}

func TestGuestEndsOnInterrupt(t *testing.T) {
	g := newGuest(t, "uml")
	cmd := g.command(nil, "busybox", "sh", "-c", "echo up; sleep 600")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, 128+int(syscall.SIGINT), exit.ExitCode())
}
