package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// pack writes the tree as an archive, everything below the directory prefix
// (no slash at either end; empty for the root itself).
func (t *tree) pack(w io.Writer, prefix string) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	c := &cpioWriter{w: buffered}
	if prefix != "" {
		c.dir(prefix)
	}
	for _, p := range t.paths() {
		if err := t.packOne(c, strings.TrimPrefix(prefix+p, "/"), t.entries[p]); err != nil {
			return err
		}
	}
	if err := c.close(); err != nil {
		return fmt.Errorf("write the initial root: %w", err)
	}
	return buffered.Flush()
}

func (t *tree) packOne(c *cpioWriter, name string, e entry) error {
	switch {
	case e.mode.IsDir():
		c.dir(name)
	case e.mode&fs.ModeSymlink != 0:
		c.link(name, e.target)
	case e.source == "":
		c.file(name, e.mode, e.size, bytes.NewReader(e.text))
	default:
		f, err := os.Open(e.source)
		if err != nil {
			return err
		}
		defer f.Close()
		c.file(name, e.mode, e.size, f)
	}
	return c.err
}
