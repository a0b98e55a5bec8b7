package guestpull_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// pullerVariable makes this program a process that pulls into the store it names.
const pullerVariable = "TRUSTED_STORE_TEST_PULL"

func puller(store string) {
	image, err := guestpull.New(store, guestpull.Options{}).Pull(context.Background(), os.Args[1], guestpull.PullOptions{Bundle: os.Args[2]})
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(pulled{*image, highWaterMark()})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// pulled is what such a process prints.
type pulled struct {
	Image  guestpull.Image
	Memory int64 // the most that was resident, in bytes
}

// highWaterMark is of this program alone; what getrusage(2) says is inherited.
func highWaterMark() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		panic(err)
	}
	return kib << 10
}

// A process that is killed in the middle of a pull leaves nothing that is taken
// for whole, and nothing that stays.
func TestKilledPull(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	b := newImage(t, reg)
	for i := range 6 {
		b.layer(func(l *layerBuilder) { l.fill(fmt.Sprint("d", i), uint64(i), 100, mib) })
	}
	name, _ := reg.push(t, "app:1", b.image)
	store := newStore(t, 128*mib)
	images := guestpull.New(store, guestpull.Options{})
	launch := func() *exec.Cmd {
		c := exec.Command("/proc/self/exe", name, filepath.Join(t.TempDir(), "bundle"))
		c.Env = append(os.Environ(), pullerVariable+"="+store)
		c.Stderr = os.Stderr
		require.NoError(t, c.Start())
		return c
	}
	began := time.Now()
	require.NoError(t, launch().Wait())
	took := time.Since(began)
	release := func() {
		list, err := images.List(t.Context())
		require.NoError(t, err)
		for _, s := range list {
			for _, bundle := range s.Bundles {
				require.NoError(t, images.Release(t.Context(), bundle))
			}
		}
	}
	release()
	require.NoError(t, images.Prune(t.Context()))
	for range 4 {
		c := launch()
		time.Sleep(time.Duration(rand.Int64N(int64(took))))
		require.NoError(t, c.Process.Kill())
		_ = c.Wait() // it was killed, or was faster
		release()
		require.NoError(t, images.Prune(t.Context()))
		left, err := filepath.Glob(filepath.Join(store, "*", "*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
	bundle := newBundle(t, images)
	image, err := images.Pull(t.Context(), name, guestpull.PullOptions{Bundle: bundle})
	require.NoError(t, err)
	requireTree(t, b.tree, readTree(t, image.RootFS))
}
