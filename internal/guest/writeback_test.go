package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChangedFilesReachTheHost(t *testing.T) {
	upper, host := t.TempDir(), t.TempDir()
	big := bytes.Repeat([]byte("0123456789"), partSize/4)
	writeFile(t, upper+host+"/out/sub/big", big)
	writeFile(t, upper+host+"/out/empty", nil)
	writeFile(t, upper+host+"/elsewhere", []byte("x"))
	writeFile(t, host+"/out/empty", []byte("what was there before"))
	require.NoError(t, os.Symlink("big", upper+host+"/out/sub/link"))

	dir, err := os.Open(upper)
	require.NoError(t, err)
	defer dir.Close()
	l, keep := pipe(), []string{host + "/out", host + "/never-made"}
	require.NoError(t, sendChanges(l, dir, keep))
	for {
		k, p, err := l.receive()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.Equal(t, kindFile, k)
		require.NoError(t, storeChange(p, keep))
	}

	got, err := os.ReadFile(host + "/out/sub/big")
	require.NoError(t, err)
	require.Equal(t, big, got)
	got, err = os.ReadFile(host + "/out/empty")
	require.NoError(t, err)
	require.Empty(t, got)
	require.NoFileExists(t, host+"/elsewhere")
	require.NoFileExists(t, host+"/out/sub/link")
}

func TestFilesOutsideOfWhatWasAskedForAreRefused(t *testing.T) {
	host := t.TempDir()
	for _, path := range []string{host + "/other", host + "/out/../other", "/etc/passwd", "relative"} {
		p, err := encode(filePart{Path: path, Mode: 0o644, Data: []byte("x")})
		require.NoError(t, err)
		require.ErrorContains(t, storeChange(p, []string{host + "/out"}), "not below", path)
	}
	require.NoFileExists(t, host+"/other")
}
