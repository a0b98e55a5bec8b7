package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// A romfs image (Documentation/filesystems/romfs.rst) is the simplest
// filesystem that a kernel reads from a disk, so that only what is used of the
// host's tools has to reach the guest's memory. All numbers are big-endian,
// all places are multiples of 16. A file is a header of four numbers (the next
// file's place with the type in its low bits; a place that depends on the
// type; size; checksum, which the kernel does not check), its name, its data.
const (
	romHardLink = 0
	romDir      = 1
	romFile     = 2
	romSymlink  = 3
	romExec     = 8
	romHeader   = 16
	romBlock    = 4096 // the image ends with a whole block of the disk
	romSlack    = 256  // the kernel reads this far when it compares the last name
)

// romNode is one header of the image. Directories have further headers for the
// names "." and "..".
type romNode struct {
	name string
	kind uint32
	spec *romNode // what a hard link stands for; the first file of a directory
	next *romNode // the following file of the same directory
	e    entry
	at   int64
}

// romImage places the headers of a tree one behind the other.
type romImage struct {
	nodes []*romNode
	size  int64
}

// romAlign rounds up to a place.
func romAlign(n int64) int64 { return (n + 15) &^ 15 }

// writeRomfs writes the tree as an image.
func (t *tree) writeRomfs(w io.Writer) error {
	kids := map[string][]string{}
	for _, p := range t.paths() {
		kids[path.Dir(p)] = append(kids[path.Dir(p)], p)
	}
	super := romHeader + romAlign(1)
	im := &romImage{size: super}
	root := &romNode{name: ".", kind: romDir | romExec}
	im.place(root)
	im.fill(t, kids, "/", root, root)
	im.size = (im.size + romSlack + romBlock - 1) / romBlock * romBlock
	if im.size >= 1<<32 {
		return fmt.Errorf("the tools have %d bytes, too many for an image", im.size)
	}
	return im.write(w)
}

func (im *romImage) place(n *romNode) {
	n.at = im.size
	im.nodes = append(im.nodes, n)
	im.size = n.end()
}

// end is the place behind the file.
func (n *romNode) end() int64 {
	return n.at + romHeader + romAlign(int64(len(n.name)+1)) + romAlign(n.length())
}

// length is the size of the data behind the header.
func (n *romNode) length() int64 {
	if n.kind&7 == romSymlink {
		return int64(len(n.e.target))
	}
	return n.e.size
}

// fill places the files of the directory at dir, whose header is self.
func (im *romImage) fill(t *tree, kids map[string][]string, dir string, self, parent *romNode) {
	list := []*romNode{{name: ".", kind: romHardLink, spec: self}, {name: "..", kind: romHardLink, spec: parent}}
	for _, p := range kids[dir] {
		list = append(list, newRomNode(path.Base(p), t.entries[p]))
	}
	self.spec = list[0]
	for i, n := range list {
		if i+1 < len(list) {
			n.next = list[i+1]
		}
		im.place(n)
		if n.kind&7 == romDir {
			im.fill(t, kids, path.Join(dir, n.name), n, self)
		}
	}
}

func newRomNode(name string, e entry) *romNode {
	n := &romNode{name: name, e: e, kind: romFile}
	switch {
	case e.mode.IsDir():
		n.kind, n.e.size = romDir|romExec, 0
	case e.mode&fs.ModeSymlink != 0:
		n.kind = romSymlink
	case e.mode&0o111 != 0:
		n.kind |= romExec
	}
	return n
}

// write writes the superblock and every file. The numbers of the superblock's
// first 512 bytes must add up to zero.
func (im *romImage) write(w io.Writer) error {
	super := append([]byte("-rom1fs-"), make([]byte, romHeader-8+16)...)
	binary.BigEndian.PutUint32(super[8:], uint32(im.size))
	head := bytes.NewBuffer(bytes.Clone(super))
	for _, n := range im.nodes {
		if head.Len() >= 512 {
			break
		}
		if err := n.write(head); err != nil {
			return err
		}
	}
	binary.BigEndian.PutUint32(super[12:], -sumWords(head.Bytes()[:min(head.Len(), 512)]))
	buffered := bufio.NewWriterSize(w, 1<<20)
	buffered.Write(super)
	for _, n := range im.nodes {
		if err := n.write(buffered); err != nil {
			return err
		}
	}
	last := im.nodes[len(im.nodes)-1]
	buffered.Write(make([]byte, im.size-last.end()))
	return buffered.Flush()
}

func sumWords(p []byte) uint32 {
	var sum uint32
	for i := 0; i+4 <= len(p); i += 4 {
		sum += binary.BigEndian.Uint32(p[i:])
	}
	return sum
}

func (n *romNode) write(w io.Writer) error {
	head := make([]byte, romHeader+romAlign(int64(len(n.name)+1)))
	next := n.kind
	if n.next != nil {
		next |= uint32(n.next.at)
	}
	binary.BigEndian.PutUint32(head, next)
	if n.spec != nil {
		binary.BigEndian.PutUint32(head[4:], uint32(n.spec.at))
	}
	binary.BigEndian.PutUint32(head[8:], uint32(n.length()))
	copy(head[romHeader:], n.name)
	if _, err := w.Write(head); err != nil {
		return err
	}
	data, err := n.open()
	if err != nil {
		return err
	}
	defer data.Close()
	if _, err := io.CopyN(w, data, n.length()); err != nil {
		return fmt.Errorf("copy %s: %w", n.e.source, err)
	}
	_, err = w.Write(make([]byte, romAlign(n.length())-n.length()))
	return err
}

func (n *romNode) open() (io.ReadCloser, error) {
	switch {
	case n.kind&7 == romSymlink:
		return io.NopCloser(bytes.NewReader([]byte(n.e.target))), nil
	case n.kind&7 == romFile && n.e.source != "":
		return os.Open(n.e.source)
	default:
		return io.NopCloser(bytes.NewReader(n.e.text)), nil
	}
}
