package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/trusted-store/trusted-store/storage"
)

// ReadKey reads a key until ctx ends: whoever has the other end of a pipe may keep it
// open for good. At a terminal it asks on w, and nobody sees what is typed; elsewhere
// it is what load returns.
func ReadKey(ctx context.Context, w io.Writer, source string, load func() (*storage.Key, error)) (*storage.Key, error) {
	fd, ok := descriptorOf(source)
	if !ok || !term.IsTerminal(fd) {
		return await(ctx, load)
	}
	restore, err := hideTyping(fd)
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = restore() // the terminal is gone otherwise
		fmt.Fprintln(w)
	}()
	fmt.Fprint(w, "key: ")
	return await(ctx, func() (*storage.Key, error) { return readLine(fd) })
}

// descriptorOf returns the descriptor that a source is read from, if it is none that
// is opened by its name.
func descriptorOf(source string) (int, bool) {
	if source == "-" {
		return int(os.Stdin.Fd()), true
	}
	number, ok := strings.CutPrefix(source, "fd:")
	fd, err := strconv.Atoi(number)
	return fd, ok && err == nil
}

// await ends with ctx. What is read after that ends with the process.
func await(ctx context.Context, read func() (*storage.Key, error)) (*storage.Key, error) {
	type result struct {
		key *storage.Key
		err error
	}
	done := make(chan result, 1)
	go func() {
		key, err := read()
		done <- result{key, err}
	}()
	select {
	case r := <-done:
		return r.key, r.err
	case <-ctx.Done():
		return nil, &storage.Error{Op: "read key", What: "key", Step: "wait for it", Err: ctx.Err()}
	}
}

// hideTyping lets the terminal hand over lines that it does not show.
func hideTyping(fd int) (restore func() error, err error) {
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, os.NewSyscallError("read terminal settings", err)
	}
	hidden := *before
	hidden.Lflag = hidden.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, os.NewSyscallError("set terminal", err)
	}
	return func() error { return unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}

// maxLine is the longest line of a terminal, in bytes.
const maxLine = 4096

// readLine reads a key without the newline that ends it. A terminal hands a line over
// as a whole, so that no copy of it is left behind.
func readLine(fd int) (*storage.Key, error) {
	line := make([]byte, maxLine)
	n, err := unix.Read(fd, line)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(fd, line)
	}
	if err != nil {
		return nil, &storage.Error{Op: "read key", What: "key", Kind: storage.ErrInvalid, Err: os.NewSyscallError("read", err)}
	}
	return storage.NewKey(bytes.TrimSuffix(line[:n], []byte("\n")))
}
