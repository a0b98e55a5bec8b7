package main

import (
	"fmt"
	"io"
	"io/fs"
)

// cpioWriter writes an archive in the format "newc" that the kernel unpacks
// into its first root (Documentation/driver-api/early-userspace/buffer-format.rst):
// headers of 110 characters, names and contents padded to 4 bytes.
type cpioWriter struct {
	w   io.Writer
	n   int64 // bytes written
	ino int64
	err error
}

// Types of files in the mode field, as in stat(2).
const (
	cpioDir  = 0o040000
	cpioFile = 0o100000
	cpioLink = 0o120000
)

func (c *cpioWriter) header(name string, mode, size int64) {
	c.ino++
	c.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		c.ino, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0))
	c.write(append([]byte(name), 0))
	c.pad()
}

func (c *cpioWriter) write(p []byte) {
	if c.err == nil {
		var n int
		n, c.err = c.w.Write(p)
		c.n += int64(n)
	}
}

func (c *cpioWriter) pad() { c.write(make([]byte, -c.n&3)) }

func (c *cpioWriter) dir(name string) { c.header(name, cpioDir|0o755, 0) }

func (c *cpioWriter) link(name, target string) {
	c.header(name, cpioLink|0o777, int64(len(target)))
	c.write([]byte(target))
	c.pad()
}

// file adds a file of exactly size bytes read from r.
func (c *cpioWriter) file(name string, perm fs.FileMode, size int64, r io.Reader) {
	if size >= 1<<32 && c.err == nil {
		c.err = fmt.Errorf("%s has %d bytes, too many for an initial root", name, size)
	}
	c.header(name, cpioFile|int64(perm.Perm()), size)
	if c.err != nil {
		return
	}
	n, err := io.CopyN(c.w, r, size)
	c.n += n
	if err != nil {
		c.err = fmt.Errorf("copy %s: %w", name, err)
	}
	c.pad()
}

// close ends the archive. The kernel accepts another one behind it.
func (c *cpioWriter) close() error {
	c.header("TRAILER!!!", 0, 0)
	return c.err
}
