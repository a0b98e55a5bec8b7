package cryptsetup

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// shuffled prints a JSON tree with the members of every object in another
// order.
func (n *node) shuffled(r *rand.Rand) string {
	r.Shuffle(len(n.vals), func(i, j int) {
		n.vals[i], n.vals[j] = n.vals[j], n.vals[i]
		if n.kind == '{' {
			n.keys[i], n.keys[j] = n.keys[j], n.keys[i]
		}
	})
	for _, v := range n.vals {
		v.shuffled(r)
	}
	return n.print()
}

// randomHeader returns a header somewhere inside the profile.
func randomHeader(r *rand.Rand) []byte {
	m := metadata{integrity: Integrity(r.IntN(len(suites))), digest: digest{
		iterations: 1000 + r.Uint32N(10_000_000-1000+1), salt: make([]byte, saltSize), sum: make([]byte, digestSize),
	}}
	places := r.Perm(MaxKeyslots)
	for _, id := range r.Perm(MaxKeyslots)[:r.IntN(MaxKeyslots+1)] {
		var kdf KDF = PBKDF2{Iterations: 1000 + r.Uint32N(10_000_000-1000+1)}
		if r.IntN(2) == 0 {
			kdf = Argon2id{Time: 1 + r.Uint32N(16), MemoryKiB: 32 + r.Uint32N(65536-32+1), Threads: uint8(1 + r.IntN(4))}
		}
		m.keyslots = append(m.keyslots, Keyslot{ID: id, KDF: kdf, salt: make([]byte, saltSize),
			Offset: int64(areaOffset(m.integrity, places[id])), Size: int64(areaSize(m.integrity))})
	}
	m.sizeOnly = len(m.keyslots) == 0 && r.IntN(2) == 0
	m.keySize = m.integrity == HMACSHA256 && r.IntN(2) == 0
	text := parseJSON(m.encode(), &faults{}).shuffled(r)
	var out []byte
	seq, id, texts := r.Uint64N(1<<63), uuid.New(), [2][]byte{randomLabel(r), randomLabel(r)}
	for n := range magics {
		b := binaryHeader{Magic: magics[n], Version: 2, HdrSize: copySize, SeqID: seq, HdrOffset: uint64(n * copySize)}
		copy(b.CsumAlg[:], "sha256")
		copy(b.UUID[:], id.String())
		copy(b.Label[:], texts[0])
		copy(b.Subsystem[:], texts[1])
		out = append(out, encodeCopy(b, []byte(text))...)
	}
	return out
}

// randomLabel returns up to 47 bytes, none of them NUL.
func randomLabel(r *rand.Rand) []byte {
	b := make([]byte, r.IntN(48))
	for i := range b {
		b[i] = byte(1 + r.IntN(255))
	}
	return b
}

// What the profile accepts, at its bounds and in any order of members,
// cryptsetup accepts too.
func TestCryptsetupAcceptsWhatTheProfileAccepts(t *testing.T) {
	ForEachCryptsetup(t, cryptsetupAcceptsWhatTheProfileAccepts)
}

func cryptsetupAcceptsWhatTheProfileAccepts(t *testing.T, cryptsetup string) {
	r := rand.New(rand.NewPCG(3, 4))
	path := filepath.Join(t.TempDir(), "volume")
	for i := range 60 {
		b := randomHeader(r)
		region := make([]byte, regionSize)
		copy(region, b)
		h, err := Read(bytes.NewReader(region), Profile{Integrity: AnyIntegrity})
		require.NoError(t, err, "header %d", i)
		require.NoError(t, os.WriteFile(path, region, 0o600))
		require.NoError(t, os.Truncate(path, 64<<20))
		out, err := exec.Command(cryptsetup, "luksDump", path).CombinedOutput()
		require.NoError(t, err, "header %d: %s", i, out)
		require.Contains(t, string(out), h.UUID().String())
		require.Equal(t, len(h.Keyslots()), strings.Count(string(out), "Area offset:"))
		for _, s := range h.Keyslots() {
			require.Contains(t, string(out), fmt.Sprintf("\n  %d: luks2\n", s.ID))
		}
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(region, after[:regionSize]), "header %d: cryptsetup found something to repair", i)
	}
}
