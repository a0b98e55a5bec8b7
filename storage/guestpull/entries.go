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
	root    *tar.Header            // what the layer says of the root directory itself
	powers  map[string]*tar.Header // of programs with capabilities, setuid or setgid
}

func newEntries(b *budget) *entries {
	return &entries{budget: b, known: map[string]bool{".": true}, implied: map[string]bool{".": true},
		powers: map[string]*tar.Header{}}
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
	e.keepPowers(name, h)
	return true, nil
}

const capability = paxXattr + "security.capability"

// keepPowers makes the entry of a hard link say what the file's own said. Not every
// maker of archives repeats it, and to change the owner of a file, as is done for
// each of its names, takes capabilities and setuid away.
func (e *entries) keepPowers(name string, h *tar.Header) {
	own := h
	if h.Typeflag == tar.TypeLink {
		own = e.powers[filepath.Clean(h.Linkname)]
	}
	delete(e.powers, name)
	if own == nil || own.Mode&0o6000 == 0 && own.PAXRecords[capability] == "" || own.Typeflag != tar.TypeReg {
		return
	}
	e.powers[name] = own
	h.Mode, h.Uid, h.Gid, h.PAXRecords = own.Mode, own.Uid, own.Gid, own.PAXRecords
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
