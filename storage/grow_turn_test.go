package storage_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Whoever only waits for the store to fill stands back for one that has something to
// do now, and goes on afterwards.
func TestGrowerThatWaitsStandsBack(t *testing.T) {
	kernel(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	disk, resize := enlargeable(t, 6*gib)
	key := newKey(t, longKey)
	log := storagetest.KernelLog(t)
	s := create(t, disk, storage.CreateOptions{Key: key, Filesystem: fewInodes, Grow: storage.GrowAsUsed})
	requireGrower := func() {
		require.Eventually(t, func() bool { return growthOf(t, s).Grower != 0 }, time.Minute, time.Millisecond, "it goes on")
	}
	requireGrower()
	require.NoError(t, storage.Grow(ctx, s.Name(), storage.GrowOptions{Size: gib}))
	require.GreaterOrEqual(t, growthOf(t, s).Bytes, uint64(gib))
	requireGrower()
	resize(7 * gib)
	require.NoError(t, storage.Resize(ctx, s.Name(), key, storage.ResizeOptions{Grow: storage.GrowLater}))
	require.Greater(t, growthOf(t, s).Target, uint64(6*gib))
	require.False(t, growthOf(t, s).Full())
	requireGrower()
	require.NoError(t, storage.Grow(ctx, s.Name(), storage.GrowOptions{Follow: true}))
	require.True(t, growthOf(t, s).Full())
	requireClean(t, s)
	requireNoErrors(t, log)
}
