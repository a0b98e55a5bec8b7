package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestComparison(t *testing.T) {
	var c comparison
	c.same("type", "LUKS2", "LUKS2")
	c.between("size", 7, 7, 7)
	require.NoError(t, c.err())
	c.same("type", "n/a", "LUKS2")
	c.between("size", 6, 7, 7)
	c.between("used", 11, 1, 10)
	require.Equal(t, 5, c.compared)
	require.EqualError(t, c.err(), "type is \"n/a\", and should be \"LUKS2\"\nsize is 6, and should be 7\nused is 11, and should be 1 to 10")
}

func TestLayersSize(t *testing.T) {
	for text, want := range map[string]int64{"2.15GB": howToLayers, "300MB": 300e6, "10MB": smallestLayers} {
		size, err := layersSize(text)
		require.NoError(t, err)
		require.Equal(t, want, size)
	}
	for _, text := range []string{"", "much", "-1", "9MB", "3GB"} {
		_, err := layersSize(text)
		require.ErrorContains(t, err, "want a size from 10 MB to 2.15 GB", text)
	}
}

// Whatever the size, all of it is written, a layer at a time.
func TestFill(t *testing.T) {
	dir := t.TempDir()
	const total = 1_000_003
	var layers []int
	var last int64
	require.NoError(t, fill(dir, total, func(layer int, written int64) {
		require.Greater(t, written, last)
		layers, last = append(layers, layer), written
	}))
	require.Len(t, layers, layerCount)
	require.EqualValues(t, total, last)
	names, err := filepath.Glob(filepath.Join(dir, "layers/*/usr/lib/*/*"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(names), layerCount)
	require.DirExists(t, filepath.Join(dir, "overlay"))
}
