package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"io"
	"sync"
)

// kind says what one frame on the channel between the host and the guest's
// init carries.
type kind byte

const (
	// From the host to the guest.
	kindStart    kind = 's' // a piece of the encoding of a start value; the last one is empty
	kindStdin    kind = 'i' // bytes for the command's standard input, a piece at most
	kindStdinEnd kind = 'e' // no more input
	kindSignal   kind = 'k' // a signal number, one byte
	kindResize   kind = 'w' // a windowSize value

	// From the guest to the host.
	kindReady  kind = 'r' // init is up and reads; nothing may be sent before
	kindTaken  kind = 't' // the last piece was consumed, send the next
	kindStdout kind = 'o' // bytes of the command's standard output
	kindStderr kind = 'x' // bytes of the command's standard error
	kindFile   kind = 'f' // a filePart value
	kindResult kind = 'q' // a result value, the last frame of a run
)

// frameLimit is the largest payload of one frame, in bytes. A longer one means
// that the stream is out of step.
const frameLimit = 4 << 20

// pieceSize is how much the host sends before it waits for kindTaken, in bytes.
// The channel of the uml bed is a terminal with a buffer of 4096; once that is
// full, it may stay so for ever.
const pieceSize = 2 << 10

// frameHeader is the kind (1 byte) and the payload's length (4, big-endian).
const frameHeader = 5

// start is what the guest needs to know to run one command.
type start struct {
	Args   []string // Args[0] is an absolute path in the guest's file tree, or looked up in PATH
	Env    []string
	Dir    string
	Show   []string // host paths to keep visible where a tmpfs would hide them
	Keep   []string // host paths below which changed files are sent back
	Tree   string   // directory of the kernel's modules, or empty where the guest does not see it
	Disks  []string // device files or serial numbers of the raw disks, in order
	TTY    bool     // give the command a terminal
	Window windowSize
}

// windowSize is the size of a terminal in characters.
type windowSize struct{ Rows, Cols uint16 }

// filePart is a piece of a file that the command changed. The part at offset 0
// replaces the file; others continue it.
type filePart struct {
	Path   string
	Mode   uint32
	Offset int64
	Data   []byte
}

// result is how a run ended.
type result struct {
	Status  int      // exit status of the command, or 128+n for signal n
	Failure string   // why the command could not be run; empty otherwise
	Leaks   []string // what the command left behind in the kernel
}

// link is one end of the channel. Sending is safe for concurrent use.
type link struct {
	r  *bufio.Reader
	mu sync.Mutex
	w  io.Writer
}

func newLink(rw io.ReadWriter) *link {
	return &link{r: bufio.NewReaderSize(rw, 64<<10), w: rw}
}

// send writes one frame.
func (l *link) send(k kind, payload []byte) error {
	frame := make([]byte, frameHeader, frameHeader+len(payload))
	frame[0] = byte(k)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload)))
	frame = append(frame, payload...)
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.w.Write(frame)
	return err
}

// sendValue writes one frame that carries v.
func (l *link) sendValue(k kind, v any) error {
	b, err := encode(v)
	if err != nil {
		return err
	}
	return l.send(k, b)
}

// receive reads one frame.
func (l *link) receive() (kind, []byte, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(l.r, h[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(h[1:])
	if n > frameLimit {
		return 0, nil, fmt.Errorf("frame of kind %q claims %d bytes, more than %d: the stream is out of step", h[0], n, frameLimit)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(l.r, payload); err != nil {
		return 0, nil, err
	}
	return kind(h[0]), payload, nil
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

// decode reads a value that encode wrote.
func decode(payload []byte, v any) error {
	return gob.NewDecoder(bytes.NewReader(payload)).Decode(v)
}
