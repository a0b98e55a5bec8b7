package guestpull_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

// randomImage is an image of a few layers whose names meet often. What is left out
// of it, for containerd and this package differ there, is in
// TestDifferencesFromContainerd.
type randomImage struct {
	r      *rand.Rand
	layers [][]randomEntry
	links  map[string]string // symbolic links so far, and where they lead
	// blocked are names that were no directories in some layer below; anew are those
	// that the layer made, or removed, itself.
	blocked, anew map[string]bool
	files         []string        // so far, removed or not
	nodes         map[string]bool // of this layer, that are no directories
}

type randomEntry struct {
	tar.Header
	body string
}

func newRandomImage(seed uint64) *randomImage {
	m := &randomImage{r: rand.New(rand.NewPCG(seed, 14)), links: map[string]string{}, blocked: map[string]bool{}}
	for range 1 + m.r.IntN(4) {
		m.layers = append(m.layers, m.layer())
	}
	return m
}

func (m *randomImage) layer() (entries []randomEntry) {
	var links []string // of this layer
	m.anew, m.nodes = map[string]bool{}, map[string]bool{}
	for range 1 + m.r.IntN(14) {
		e := m.entry(links)
		for !m.allowed(e, entries) {
			e = m.entry(links)
		}
		name := cleaned(e.Name)
		dir, base := path.Split(name)
		switch {
		case strings.HasPrefix(base, ".wh."):
			removed := dir + strings.TrimPrefix(base, ".wh.")
			m.anew[removed] = true
			m.files = slices.DeleteFunc(m.files, func(file string) bool {
				return strings.HasPrefix(file+"/", removed+"/") || base == ".wh..wh..opq" && strings.HasPrefix(file, dir)
			})
		case e.Typeflag == tar.TypeDir:
			m.anew[name] = true
		case e.Typeflag == tar.TypeSymlink:
			links = append(links, name)
			m.links[name] = m.leadsTo(name, e.Linkname)
		case e.Typeflag == tar.TypeReg:
			m.files = append(m.files, name)
		}
		if !strings.HasPrefix(base, ".wh.") && e.Typeflag != tar.TypeDir {
			m.nodes[name], m.nodes[m.real(name)] = true, true
		}
		entries = append(entries, e)
	}
	maps.Copy(m.blocked, m.nodes)
	return entries
}

func cleaned(name string) string { return strings.TrimPrefix(path.Clean(name), "/") }

func (m *randomImage) leadsTo(link, target string) string {
	if path.IsAbs(target) {
		return cleaned(target)
	}
	return path.Join(path.Dir(link), target)
}

// real is where a name in a link's directory is, as long as the link is there.
func (m *randomImage) real(name string) string {
	if to, isLink := m.links[path.Dir(name)]; isLink {
		return path.Join(to, path.Base(name))
	}
	return name
}

// allowed leaves out names that lead through what is no directory below, and
// directories made opaque after something was put into them.
func (m *randomImage) allowed(e randomEntry, before []randomEntry) bool {
	name := cleaned(e.Name)
	for _, name := range []string{name, m.real(name)} {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if m.blocked[dir] && !m.anew[dir] || m.nodes[dir] && m.r.IntN(60) > 0 {
				return false
			}
		}
	}
	dir, opaque := strings.CutSuffix(name, ".wh..wh..opq")
	return !opaque || !slices.ContainsFunc(before, func(other randomEntry) bool {
		return strings.HasPrefix(cleaned(other.Name), dir) || strings.HasPrefix(m.real(cleaned(other.Name)), dir)
	})
}

func (m *randomImage) entry(links []string) randomEntry {
	e := randomEntry{Header: tar.Header{Mode: int64(m.r.IntN(0o1000)), Uid: m.r.IntN(3), Gid: m.r.IntN(3),
		ModTime: when.Add(time.Duration(m.r.IntN(1_000_000_000_000)))}}
	in := m.name()
	if len(links) > 0 && m.r.IntN(4) == 0 {
		in = links[m.r.IntN(len(links))] // a link of this very layer
	}
	name := path.Join(in, m.component())
	switch m.r.IntN(12) {
	case 0, 1, 2:
		e.Typeflag, e.Name = tar.TypeDir, m.name()+"/"
		if strings.HasPrefix(e.Name, "a") { // always, or never
			e.PAXRecords = map[string]string{"SCHILY.xattr.user.dir": "a"}
		}
	case 3, 4, 5:
		e.Typeflag, e.Name, e.body = tar.TypeReg, name, strings.Repeat("x", m.r.IntN(9000))
		if m.r.IntN(3) == 0 {
			e.PAXRecords = map[string]string{"SCHILY.xattr.user.file": fmt.Sprint(m.r.IntN(9)), "SCHILY.xattr.trusted.not": "for images"}
		}
		e.Size = int64(len(e.body))
	case 6, 7:
		e.Typeflag, e.Name = tar.TypeReg, path.Join(in, ".wh."+m.component())
	case 8:
		e.Typeflag, e.Name = tar.TypeReg, m.name()+"/.wh..wh..opq"
	case 9:
		e.Typeflag, e.Name, e.Linkname = tar.TypeSymlink, path.Join(m.name(), fmt.Sprint("link", len(m.links))), m.prefix()+m.name()
	case 10:
		e.Typeflag, e.Name, e.Linkname = tar.TypeLink, name, m.prefix()+m.name()
		if len(m.files) > 0 && m.r.IntN(40) > 0 {
			e.Linkname = m.prefix() + m.files[m.r.IntN(len(m.files))]
		}
	case 11:
		e.Typeflag, e.Name, e.Devmajor, e.Devminor = tar.TypeChar, name, 1, int64(m.r.IntN(9))
		if m.r.IntN(2) == 0 {
			e.Typeflag, e.Devmajor, e.Devminor = tar.TypeFifo, 0, 0
		}
	}
	e.Name = m.prefix() + e.Name
	return e
}

func (m *randomImage) component() string { return string(rune('a' + m.r.IntN(4))) }

func (m *randomImage) name() string {
	names := []string{m.component()}
	for m.r.IntN(2) == 0 && len(names) < 4 {
		names = append(names, m.component())
	}
	return strings.Join(names, "/")
}

func (m *randomImage) prefix() string {
	return []string{"", "", "/", "./", "//", "/./", "a/../"}[m.r.IntN(7)]
}

// String shows the archives.
func (m *randomImage) String() string {
	var text strings.Builder
	for i, entries := range m.layers {
		fmt.Fprintf(&text, "layer %d\n", i)
		for _, e := range entries {
			fmt.Fprintf(&text, "  %c %q -> %q %o %d:%d\n", e.Typeflag, e.Name, e.Linkname, e.Mode, e.Uid, e.Gid)
		}
	}
	return text.String()
}

func (m *randomImage) archives(t testing.TB) (all [][]byte) {
	t.Helper()
	for _, entries := range m.layers {
		all = append(all, archiveOf(t, entries))
	}
	return all
}

func archiveOf(t testing.TB, entries []randomEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		h.Format = tar.FormatPAX
		require.NoError(t, w.WriteHeader(&h))
		_, err := w.Write([]byte(e.body))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// pushArchives pushes an image of such layers, not compressed.
func pushArchives(t testing.TB, reg *testRegistry, archives ...[]byte) string {
	t.Helper()
	var image testImage
	for _, a := range archives {
		image.Layers = append(image.Layers, reg.blob(t, ocispec.MediaTypeImageLayer, a))
		image.DiffIDs = append(image.DiffIDs, digest.FromBytes(a))
	}
	name, _ := reg.push(t, "app:1", image)
	return name
}

// without returns the image without one entry, to find the ones that matter.
func (m *randomImage) without(layer, entry int) *randomImage {
	c := &randomImage{layers: slices.Clone(m.layers)}
	c.layers[layer] = slices.Delete(slices.Clone(c.layers[layer]), entry, entry+1)
	return c
}
