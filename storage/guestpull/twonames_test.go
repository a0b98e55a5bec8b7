package guestpull_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// One of two names of an image goes alone; the last one takes the image with it.
func TestRemoveOneOfTwoNames(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	image := newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "1") }).image
	one, _ := reg.push(t, "name:1", image)
	two, _ := reg.push(t, "name:2", image)
	images := guestpull.New(newTmpfs(t, "size=16m"), guestpull.Options{})
	for _, name := range []string{one, two} {
		_, err := images.Pull(t.Context(), name, guestpull.PullOptions{})
		require.NoError(t, err)
	}
	require.NoError(t, images.Remove(t.Context(), one))
	list, err := images.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, []string{two}, list[0].Names)
	require.ErrorIs(t, images.Remove(t.Context(), one), guestpull.ErrNoSuchImage)
	require.NoError(t, images.Remove(t.Context(), two))
	list, err = images.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}

// What an image may take is the same when its layers are there already.
func TestExistingLayersCount(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	image := newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", string(make([]byte, mib))) }).image
	name, _ := reg.push(t, "name:1", image)
	store := newTmpfs(t, "size=16m")
	_, err := guestpull.New(store, guestpull.Options{}).Pull(t.Context(), name, guestpull.PullOptions{})
	require.NoError(t, err)
	_, err = guestpull.New(store, guestpull.Options{MaxBytes: 64 << 10}).Pull(t.Context(), name, guestpull.PullOptions{})
	require.ErrorIs(t, err, guestpull.ErrNoRoom)
	_, err = guestpull.New(store, guestpull.Options{MaxBytes: 2 * mib}).Pull(t.Context(), name, guestpull.PullOptions{})
	require.NoError(t, err)
}
