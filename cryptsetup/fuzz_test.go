package cryptsetup

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/testdata/luks2/vector"
)

// fuzzSeeds are the headers of all vectors.
func fuzzSeeds(f *testing.F) []*vector.Vector {
	f.Helper()
	var all []*vector.Vector
	for _, dir := range []string{"good", "foreign", "hostile"} {
		v, err := vector.Load(filepath.Join("..", "testdata", "luks2", dir))
		require.NoError(f, err)
		all = append(all, v...)
	}
	return all
}

// cpuTime is the processor time of this process: the machine may be busy.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fuzzHeader makes a header of a JSON area and of changes to the binary
// headers, two bytes of place and one of value each, with right checksums.
func fuzzHeader(text, changes []byte) []byte {
	b := make([]byte, headersSize)
	for n := range magics {
		h := binaryHeader{Magic: magics[n], Version: 2, HdrSize: copySize, SeqID: 3, HdrOffset: uint64(n * copySize)}
		copy(h.CsumAlg[:], "sha256")
		copy(h.UUID[:], "0f9b4f4e-1d55-4c69-8c5b-0d5b7f0c2a11")
		c := encodeCopy(h, text[:min(len(text), jsonSize)])
		for x := changes; len(x) >= 3; x = x[3:] {
			if at := int(x[0])<<8 | int(x[1]); n == at>>15 || at>>14&1 == 1 {
				c[at&(binarySize-1)] = x[2]
			}
		}
		clear(c[csumOffset : csumOffset+64])
		sum := checksum(c)
		copy(c[csumOffset:], sum[:])
		copy(b[n*copySize:], c)
	}
	return b
}

// FuzzRead: what is accepted obeys every rule, encodes to what was read, and is
// accepted again. Whatever the input, it takes little time, and its report is
// printable.
func FuzzRead(f *testing.F) {
	for _, v := range fuzzSeeds(f) {
		if len(v.Bytes) == headersSize {
			text, _, _ := bytes.Cut(v.Bytes[binarySize:copySize], []byte{0})
			f.Add(text, []byte(nil), uint8(2))
			f.Add(text, []byte{0x40, 24, 'L'}, uint8(0))
			f.Add(text, []byte(nil), uint8(RequireAEAD))
		}
	}
	region := make([]byte, regionSize) // one for all: what follows the headers is always zero
	f.Fuzz(func(t *testing.T, text, changes []byte, rule uint8) {
		copy(region, fuzzHeader(text, changes))
		p := Profile{Integrity: IntegrityRule(rule % 5)}
		start := cpuTime()
		r := Inspect(region, p)
		require.Less(t, cpuTime()-start, time.Second)
		requireASCII(t, r)
		if !r.Accepted {
			require.NotEmpty(t, r.Violations)
			return
		}
		h, err := Read(bytes.NewReader(region), p)
		require.NoError(t, err)
		requireProfile(t, h, p)
		text, _, _ = bytes.Cut(text, []byte{0})
		requireSameJSON(t, text, h.meta.encode())
		require.NoError(t, h.advance())
		copy(region, h.image)
		again, err := Read(bytes.NewReader(region), p)
		require.NoError(t, err)
		require.Equal(t, h, again)
	})
}

func requireASCII(t *testing.T, r *Report) {
	var text bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	require.Equal(t, -1, bytes.IndexFunc(text.Bytes(), func(c rune) bool { return c != '\n' && (c < 0x20 || c > 0x7e) }))
	for _, v := range r.Violations {
		require.Contains(t, Rules(), v.Rule)
	}
	_, err := json.Marshal(r)
	require.NoError(t, err)
}

// requireProfile checks what encoding again does not.
func requireProfile(t *testing.T, h *Header, p Profile) {
	switch p.Integrity {
	case RequireNone:
		require.Equal(t, None, h.Integrity())
	case AnyIntegrity:
	case RequireAEAD:
		require.Equal(t, AEAD, h.Integrity())
	default:
		require.Equal(t, HMACSHA256, h.Integrity())
	}
	require.LessOrEqual(t, len(h.Keyslots()), MaxKeyslots)
	places, ids := map[int64]bool{}, map[int]bool{}
	for _, s := range h.Keyslots() {
		require.NoError(t, s.KDF.check(p))
		require.Len(t, s.salt, saltSize)
		require.Len(t, s.area, areaSize(h.Integrity()))
		require.GreaterOrEqual(t, s.Offset, int64(headersSize))
		require.LessOrEqual(t, s.Offset+s.Size, int64(regionSize))
		places[s.Offset], ids[s.ID] = true, true
	}
	require.Len(t, places, len(h.Keyslots()))
	require.Len(t, ids, len(h.Keyslots()))
	require.Len(t, h.meta.digest.sum, digestSize)
	require.Len(t, h.meta.digest.salt, saltSize)
	require.True(t, iterationsLimit.holds(uint64(h.meta.digest.iterations)))
}

// requireSameJSON compares two texts as another parser understands them, but
// for the order of members and of references.
func requireSameJSON(t *testing.T, a, b []byte) {
	var values [2]any
	for i, text := range [][]byte{a, b} {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		require.NoError(t, d.Decode(&values[i]))
		refs := values[i].(map[string]any)["digests"].(map[string]any)["0"].(map[string]any)["keyslots"].([]any)
		slices.SortFunc(refs, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	}
	require.Equal(t, values[0], values[1])
	require.Len(t, a, len(b), "one text holds something that the other does not")
}

// FuzzJSON: a text without faults is what its tree prints to, and JSON to
// another parser too.
func FuzzJSON(f *testing.F) {
	for _, v := range fuzzSeeds(f) {
		if len(v.Bytes) == headersSize {
			text, _, _ := bytes.Cut(v.Bytes[binarySize:copySize], []byte{0})
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var faults faults
		start := cpuTime()
		n := parseJSON(in, &faults)
		require.Less(t, cpuTime()-start, time.Second)
		require.Equal(t, n == nil, slices.ContainsFunc(faults.list, func(v Violation) bool {
			return v.Rule == "json.syntax" || v.Rule == "json.depth"
		}))
		if !faults.any() {
			require.True(t, json.Valid(in))
			require.Equal(t, string(in), n.print())
		}
	})
}

func (n *node) print() string {
	var items []string
	for i, v := range n.vals {
		s := v.print()
		if n.kind == '{' {
			s = `"` + n.keys[i] + `":` + s
		}
		items = append(items, s)
	}
	switch n.kind {
	case '{':
		return "{" + strings.Join(items, ",") + "}"
	case '[':
		return "[" + strings.Join(items, ",") + "]"
	case '"':
		return `"` + n.text + `"`
	}
	return n.text
}

// FuzzKeyslot: whatever the host puts into the derivation parameters and the
// area of a key slot, it opens to the volume key or to nothing.
func FuzzKeyslot(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("..", "testdata", "luks2", "good", "ours-hmac.vector"))
	require.NoError(f, err)
	v, err := vector.Parse(b)
	require.NoError(f, err)
	device, err := v.Device(filepath.Join("..", "testdata", "luks2"))
	require.NoError(f, err)
	good, err := Read(bytes.NewReader(device), Profile{})
	require.NoError(f, err)
	want, _, err := good.Unlock(f.Context(), v.Key)
	require.NoError(f, err)
	text, _, _ := strings.Cut(string(device[binarySize:copySize]), "\x00")
	before, rest, _ := strings.Cut(text, `"kdf":`)
	kdf, after, _ := strings.Cut(rest, `}},"tokens"`)

	f.Add(kdf, uint32(0), byte(0), v.Key)
	f.Add(kdf, uint32(1000), byte(1), v.Key)
	f.Add(`{"type":"argon2id","time":1,"memory":32,"cpus":4,"salt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`, uint32(0), byte(0), []byte("x"))
	f.Add(`{"type":"argon2id","time":1,"memory":4294967296,"cpus":0,"salt":""}`, uint32(0), byte(0), []byte("x"))
	f.Fuzz(func(t *testing.T, kdf string, at uint32, xor byte, passphrase []byte) {
		region := make([]byte, regionSize)
		copy(region, device)
		copy(region, fuzzHeader([]byte(before+`"kdf":`+kdf+`}},"tokens"`+after), nil))
		region[headersSize+int(at)%areaSizeHMAC] ^= xor
		h, err := Read(bytes.NewReader(region), Profile{})
		if err != nil {
			require.ErrorIs(t, err, ErrHeaderRejected)
			return
		}
		if slices.ContainsFunc(h.Keyslots(), costly) || len(passphrase) == 0 {
			return
		}
		key, _, err := h.Unlock(t.Context(), passphrase)
		if err != nil {
			require.ErrorIs(t, err, ErrWrongKey)
			return
		}
		require.Equal(t, want.Bytes(), key.Bytes())
		key.Wipe()
	})
}

// costly keeps the fuzzer fast; the bounds have tests of their own.
func costly(s Keyslot) bool {
	switch k := s.KDF.(type) {
	case PBKDF2:
		return k.Iterations > 5000
	case Argon2id:
		return k.MemoryKiB > 1024 || k.Time > 2
	}
	return true
}
