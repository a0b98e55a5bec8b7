package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHiddenPathsAreShownOnce(t *testing.T) {
	got := hidden([]string{"/home/me", "/tmp", "/tmp/a/b/c", "/tmp/a/b", "/tmp/a/bc/", "/run/x", "/dev/shm/y", "/tmp/../etc"})
	require.Equal(t, []string{"/dev/shm/y", "/run/x", "/tmp/a/b", "/tmp/a/bc"}, got)
}

func TestWithin(t *testing.T) {
	require.True(t, within("/a/b", []string{"/a"}))
	require.True(t, within("/a", []string{"/a"}))
	require.True(t, within("/a", []string{"/"}))
	require.False(t, within("/ab", []string{"/a", "/ab/c"}))
}
