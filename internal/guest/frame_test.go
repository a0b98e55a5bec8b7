package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// pipe is a link to itself: what is sent can be received.
func pipe() *link {
	var b bytes.Buffer
	return newLink(&b)
}

func TestFramesArriveAsSent(t *testing.T) {
	l := pipe()
	require.NoError(t, l.send(kindStdout, []byte("a\r\n\x00b")))
	require.NoError(t, l.send(kindReady, nil))
	require.NoError(t, l.sendValue(kindResult, result{Status: 3, Leaks: []string{"x"}}))

	k, p, err := l.receive()
	require.NoError(t, err)
	require.Equal(t, kindStdout, k)
	require.Equal(t, "a\r\n\x00b", string(p))
	k, p, err = l.receive()
	require.NoError(t, err)
	require.Equal(t, kindReady, k)
	require.Empty(t, p)
	_, p, err = l.receive()
	require.NoError(t, err)
	var r result
	require.NoError(t, decode(p, &r))
	require.Equal(t, result{Status: 3, Leaks: []string{"x"}}, r)
	_, _, err = l.receive()
	require.ErrorIs(t, err, io.EOF)
}

func TestBytesThatAreNoFrameAreRefused(t *testing.T) {
	_, _, err := newLink(bytes.NewBufferString("login: ~~~~")).receive()
	require.ErrorContains(t, err, "out of step")
	_, _, err = newLink(bytes.NewBuffer([]byte{'o', 0, 0, 0, 9, 'x'})).receive()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestStartArrivesInPieces(t *testing.T) {
	l := pipe()
	want := &start{Args: []string{"/bin/x", string(bytes.Repeat([]byte("\xff y"), 3000))}, Dir: "/"}
	text, err := encode(want)
	require.NoError(t, err)
	for piece := range sliced(text, pieceSize) {
		require.NoError(t, l.send(kindStart, piece))
	}
	require.NoError(t, l.send(kindStart, nil))
	got, err := receiveStart(&link{r: l.r, w: io.Discard})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func sliced(p []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(p) > 0 && yield(p[:min(n, len(p))]) {
			p = p[min(n, len(p)):]
		}
	}
}
