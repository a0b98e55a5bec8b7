package guestpull

import (
	"archive/tar"
	"path/filepath"
	"strings"
)

// entries looks at each entry of a layer before it is unpacked, and remembers
// the directories that the layer passes through without an entry of their own:
// those look as in the layers below.
type entries struct {
	budget  *budget
	bytes   int64 // of regular files
	known   map[string]bool
	implied map[string]bool
	root    *tar.Header // what the layer says of the root directory itself
}

func newEntries(b *budget) *entries {
	return &entries{budget: b, known: map[string]bool{".": true}, implied: map[string]bool{".": true}}
}

// check refuses what no image needs and an attacker would try. Symbolic links
// may point anywhere: they are followed within the layer only.
func (e *entries) check(h *tar.Header) (accept bool, err error) {
	name := filepath.Clean(h.Name)
	if !filepath.IsLocal(name) {
		return false, refuse(ErrRejected, "", "its entry %q is outside of the layer", h.Name)
	}
	if h.Typeflag == tar.TypeLink && !filepath.IsLocal(filepath.Clean(h.Linkname)) {
		return false, refuse(ErrRejected, "", "its entry %q is a hard link to %q, outside of the layer", h.Name, h.Linkname)
	}
	if h.Typeflag == tar.TypeReg {
		if h.Size > e.budget.left.Load() {
			return false, e.budget.take(h.Size)
		}
		e.bytes += h.Size
	}
	e.remember(name, h)
	return true, nil
}

func (e *entries) remember(name string, h *tar.Header) {
	for dir := filepath.Dir(name); !e.known[dir]; dir = filepath.Dir(dir) {
		e.known[dir], e.implied[dir] = true, true
	}
	if h.Typeflag != tar.TypeDir {
		return
	}
	e.known[name] = true
	delete(e.implied, name)
	if name == "." {
		e.root = h
	}
}

const paxXattr = "SCHILY.xattr."

// xattrs of an entry, but for those that only the kernel and its overlay write.
func xattrs(h *tar.Header) map[string]string {
	all := map[string]string{}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, paxXattr); ok && !strings.HasPrefix(name, "trusted.") {
			all[name] = value
		}
	}
	return all
}
