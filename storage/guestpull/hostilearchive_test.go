package guestpull_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// hostileArchive is a random layer that wants out of its directory, or more than it
// is worth. Its seed decides all of it.
type hostileArchive struct {
	rawArchive
	r     *rand.Rand
	names []string // that lead, or are, somewhere outside
	used  []string // in this archive so far
}

// hostileLayer is one as a registry has it.
type hostileLayer struct {
	plain, blob []byte
	diffID      digest.Digest
	maxBytes    uint64 // that the image may take
}

// newHostileLayer makes the layer of a seed. outside are names of what must not be
// touched.
func newHostileLayer(t testing.TB, seed uint64, outside []string) *hostileLayer {
	t.Helper()
	a := &hostileArchive{r: rand.New(rand.NewPCG(seed, 7)), names: outside}
	for range 1 + a.r.IntN(8)/7 {
		a.archive()
	}
	a.spoil()
	l := &hostileLayer{plain: a.Bytes(), diffID: digest.FromBytes(a.Bytes()), maxBytes: uint64(mib) >> a.r.IntN(5)}
	if a.r.IntN(8) == 0 {
		l.diffID = digest.FromString("another")
	}
	l.blob = a.compressed(t, l.plain)
	if a.r.IntN(12) == 0 && len(l.blob) > 0 { // truncated
		l.blob = l.blob[:a.r.IntN(len(l.blob))]
	}
	return l
}

func (a *hostileArchive) archive() {
	n := a.r.IntN(12)
	if a.r.IntN(40) == 0 {
		n = a.r.IntN(3000)
	}
	for range n {
		a.some()
	}
	switch a.r.IntN(12) {
	case 0: // no end
	case 1:
		a.Write(make([]byte, 512))
	case 2:
		a.Write(make([]byte, a.r.IntN(5000)))
	case 3:
		if a.r.IntN(20) == 0 {
			a.Write(make([]byte, a.r.IntN(20*mib)))
		}
	default:
		a.end()
	}
}

// some adds one or more headers, and what they are for.
func (a *hostileArchive) some() {
	switch a.r.IntN(20) {
	case 0:
		a.records()
	case 1:
		a.sparse(a.name(), a.size())
	case 2:
		a.oldSparse(a.name(), a.size())
	case 3:
		name := a.name() + strings.Repeat("/x", a.r.IntN(2200))
		kind := []byte{tar.TypeGNULongName, tar.TypeGNULongLink}[a.r.IntN(2)]
		a.entry(kind, "l", int64(len(name)), []byte(name))
	case 4: // one name again and again, in turn with what removes it
		name := a.name()
		for i := range a.r.IntN(1 + 1<<a.r.IntN(10)) {
			a.one(name)
			if i%3 == 0 {
				a.one(".wh." + name)
			}
		}
	case 5:
		a.one(strings.Repeat(a.component()+"/", a.r.IntN(40)) + a.component())
	case 6: // the whole of what a name may be, through links
		a.pax("path", strings.Repeat(a.component()+"/", a.r.IntN(2100))+"f")
		a.one("f")
	case 7: // through a link, or a name of a link
		link := a.component()
		(&header{kind: tar.TypeSymlink, name: link, link: a.names[a.r.IntN(len(a.names))], mode: 0o777}).to(&a.rawArchive)
		for range a.r.IntN(4) {
			a.one(link + "/" + a.component())
		}
	case 8: // as much as there may be, or more
		for i := range a.r.IntN(1 + 1<<a.r.IntN(10)) {
			a.entry(tar.TypeReg, fmt.Sprint(i), 4000, make([]byte, 4000))
		}
	default:
		a.one(a.name())
	}
}

// one adds a header with a right sum; everything else in it may be wrong.
func (a *hostileArchive) one(name string) {
	kinds := "0000000000000000555555552222221111133446667\x00" // and now and then any other
	h, body := header{kind: kinds[a.r.IntN(len(kinds))], name: name, link: a.target(), mode: a.number(), uid: a.number(), gid: a.number(),
		major: a.number(), minor: a.number(), mtime: a.number()}, []byte(nil)
	if a.r.IntN(60) == 0 {
		h.kind = byte(a.r.Uint32())
	}
	if h.kind == '0' && a.r.IntN(2) == 0 {
		body = make([]byte, a.r.IntN(9000))
	}
	if h.size = int64(len(body)); a.r.IntN(40) == 0 {
		h.size = a.size()
	}
	a.used = append(a.used, name)
	h.to(&a.rawArchive)
	a.Write(body)
	a.Write(make([]byte, -len(body)&511))
}

// records adds ones for the next entry, or for all that follow.
func (a *hostileArchive) records() {
	keys := []string{"path", "linkpath", "size", "uid", "gid", "mtime", "atime", "comment", "hdrcharset", "SCHILY.xattr.user.x", "SCHILY.xattr.trusted.overlay.opaque",
		"SCHILY.xattr.security.capability", "SCHILY.xattr.system.posix_acl_access", "SCHILY.xattr.", "SCHILY.xattr.user.", "SCHILY.xattr.nothing", "LIBARCHIVE.xattr.user.y",
		"GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name", "GNU.sparse.realsize", "GNU.sparse.size", "GNU.sparse.numblocks", "GNU.sparse.map", "\x00", ""}
	values := []string{"", "0", "1", "-1", "1e9", "1.5", "9223372036854775807", "1152921504606846976", "0,0", "0,1152921504606846976", "y", "x\x00y", capability, a.name(), strings.Repeat("v", a.r.IntN(1<<a.r.IntN(17)))}
	var text strings.Builder
	for range a.r.IntN(6) {
		text.WriteString(paxRecord(keys[a.r.IntN(len(keys))], values[a.r.IntN(len(values))]))
	}
	if a.r.IntN(10) == 0 {
		fmt.Fprintf(&text, "%d path=x\n", a.size())
	}
	a.entry([]byte{tar.TypeXHeader, tar.TypeXHeader, tar.TypeXGlobalHeader}[a.r.IntN(3)], "pax", int64(text.Len()), []byte(text.String()))
}

func (a *hostileArchive) component() string {
	if a.r.IntN(12) == 0 {
		return []string{"..", "..", ".", "", ".wh.", ".wh..", "\x1b[2J", "\xff", strings.Repeat("n", 255)}[a.r.IntN(9)]
	}
	return []string{"a", "b", "c", "d", "e", "link", "base", "file", ".wh..wh..opq", ".wh.file", ".wh.a", ".wh.base"}[a.r.IntN(12)]
}

func (a *hostileArchive) name() string {
	switch {
	case len(a.used) > 0 && a.r.IntN(3) == 0:
		return a.used[a.r.IntN(len(a.used))]
	case a.r.IntN(12) == 0:
		return a.names[a.r.IntN(len(a.names))]
	}
	name := a.component()
	for a.r.IntN(2) == 0 {
		name += "/" + a.component()
	}
	return name
}

// target is what a link leads to: often something that is there, in this layer or the
// one below.
func (a *hostileArchive) target() string {
	if a.r.IntN(2) == 0 {
		return []string{"base/file", "file", "a/suid", "a/soft", "a/null", "/base/../file"}[a.r.IntN(6)]
	}
	return a.name()
}

// size is one that a header tells.
func (a *hostileArchive) size() int64 {
	return []int64{0, 1, 511, 4096, mib, 64 * mib, gib, 1 << 40, 1 << 60, math.MaxInt64, math.MaxInt64 - 511, -1, math.MinInt64, a.r.Int64N(20_000)}[a.r.IntN(14)]
}

// number is any other one, most of them harmless.
func (a *hostileArchive) number() int64 {
	if a.r.IntN(300) == 0 {
		return a.size()
	}
	return 1 + a.r.Int64N(0o777)
}

// spoil changes some bytes, and leaves others out.
func (a *hostileArchive) spoil() {
	text := a.Bytes()
	if len(text) == 0 || a.r.IntN(4) > 0 {
		return
	}
	for range 1 + a.r.IntN(4) {
		text[a.r.IntN(len(text))] = byte(a.r.Uint32())
	}
	if a.r.IntN(3) == 0 {
		a.Truncate(a.r.IntN(len(text)))
	}
}

// compressed is the archive as one of the kinds that layers have, in one piece or in
// several, with such between that come to nothing.
func (a *hostileArchive) compressed(t testing.TB, plain []byte) []byte {
	kind := []string{"", "gzip", "gzip", "zstd"}[a.r.IntN(4)]
	nothing := [][]byte{squeezed(t, kind, nil), {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}}[a.r.IntN(2)]
	var b bytes.Buffer
	for a.r.IntN(4) == 0 && len(plain) > 0 {
		n := a.r.IntN(len(plain))
		b.Write(squeezed(t, kind, plain[:n]))
		b.Write(bytes.Repeat(nothing, a.r.IntN(1<<a.r.IntN(12))))
		plain = plain[n:]
	}
	b.Write(squeezed(t, kind, plain))
	if a.r.IntN(12) == 0 { // what follows is none of it
		b.Write(bytes.Repeat([]byte{byte(a.r.Uint32())}, a.r.IntN(4096)))
	}
	if a.r.IntN(30) == 0 {
		return squeezed(t, "gzip", b.Bytes())
	}
	return b.Bytes()
}

// header is what the header of an entry says.
type header struct {
	kind                                      byte
	name, link                                string
	size, mode, uid, gid, major, minor, mtime int64
}

func (h *header) to(r *rawArchive) {
	var b [512]byte
	copy(b[:100], h.name)
	number(b[100:108], h.mode)
	number(b[108:116], h.uid)
	number(b[116:124], h.gid)
	number(b[124:136], h.size)
	number(b[136:148], h.mtime)
	copy(b[148:156], "        ")
	b[156] = h.kind
	copy(b[157:257], h.link)
	copy(b[257:], "ustar\x0000")
	number(b[329:337], h.major)
	number(b[337:345], h.minor)
	if len(h.name) > 100 {
		copy(b[345:500], h.name[100:])
	}
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	r.Write(b[:])
}

// number writes one in octal digits, or in base 256 where these do not do.
func number(field []byte, n int64) {
	if text := fmt.Sprintf("%0*o", len(field)-1, n); n >= 0 && len(text) < len(field) {
		copy(field, text)
		return
	}
	var all [12]byte
	for i := range 4 {
		all[i] = byte(n >> 63) // the sign goes on
	}
	binary.BigEndian.PutUint64(all[4:], uint64(n))
	copy(field, all[12-len(field):])
	field[0] = 0x80 | byte(n>>63)
}
