package dm_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// More than the first buffer holds: it must grow.
func TestLongAnswers(t *testing.T) {
	c := openControl(t, "linear")
	below := numberOf(t, storagetest.Disk(t, 1<<20))
	var table dm.Table
	for i := range uint64(1500) {
		table = append(table, dm.Line{Start: i, Length: 1, Target: dm.Linear{Device: below, Offset: i}})
	}
	create(t, c, "long", "")
	load(t, c, "long", table)
	live, err := c.Table("long")
	require.NoError(t, err)
	require.NoError(t, table.Matches(live))
}

func TestListOnManyCPUs(t *testing.T) {
	c := openControl(t, "zero")
	const n = 100
	names := make([]string, n)
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		names[i] = fmt.Sprintf("list-%d-%s", i, strings.Repeat("x", i))
		all.Go(func() {
			_, createErr := c.Create(names[i], "")
			errs[i] = errors.Join(createErr, c.Load(names[i], zeros(8), dm.LoadOptions{}), c.Resume(names[i]))
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	listed, err := c.List()
	require.NoError(t, err)
	found := map[string]dm.Info{}
	for _, info := range listed {
		found[info.Name] = info
	}
	for i, name := range names {
		require.True(t, found[name].Live, name)
		require.Equal(t, found[name].Device, numberOf(t, dm.Path(name)))
		all.Go(func() { errs[i] = c.Remove(t.Context(), name) })
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
}

func TestTargets(t *testing.T) {
	c := openControl(t)
	version, err := c.Target("crypt")
	require.NoError(t, err)
	require.True(t, version.AtLeast(1, 14), "%v", version)
	require.False(t, version.AtLeast(2, 0), "%v", version)
	targets, err := c.Targets()
	require.NoError(t, err)
	require.Equal(t, version, targets["crypt"])
	_, err = c.Target("nosuchtarget")
	require.ErrorIs(t, err, dm.ErrNotSupported)
	require.ErrorContains(t, err, "dm-nosuchtarget")
}

// Statistics are the messages that every kernel's device-mapper answers.
func TestMessage(t *testing.T) {
	c := openControl(t, "zero")
	create(t, c, "talks", "")
	load(t, c, "talks", zeros(4096))
	answer, err := c.Message("talks", 0, "@stats_create - 8")
	require.NoError(t, err)
	require.Equal(t, "0", strings.TrimSpace(answer))
	answer, err = c.Message("talks", 0, "@stats_list")
	require.NoError(t, err)
	require.Contains(t, answer, "0+4096 8")
	answer, err = c.Message("talks", 0, "@stats_print 0")
	require.NoError(t, err)
	require.Len(t, strings.Split(strings.TrimSpace(answer), "\n"), 512, "a long answer was cut")
	answer, err = c.Message("talks", 0, "@stats_delete 0")
	require.NoError(t, err)
	require.Empty(t, answer)
	_, err = c.Message("talks", 0, "no such message")
	require.ErrorIs(t, err, unix.EINVAL)
	_, err = c.Message("talks", 0, "a NUL\x00byte")
	require.ErrorContains(t, err, "NUL")
}
