package mkfs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// blocks is a device that keeps what was written.
type blocks struct {
	mu sync.Mutex
	at map[int64][]byte
}

func (b *blocks) WriteAt(p []byte, at int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at[at] = slices.Clone(p)
	return len(p), nil
}

// sum is of all blocks with their places, however they were put together in writes.
func (b *blocks) sum() string {
	h := sha256.New()
	for _, at := range slices.Sorted(maps.Keys(b.at)) {
		for p := range slices.Chunk(b.at[at], BlockSize) {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(at)))
			h.Write(p)
			at += BlockSize
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// The same input makes the same bytes, on every CPU: sums of what amd64 wrote.
func TestBytesAreTheSameOnEveryCPU(t *testing.T) {
	for _, test := range []struct {
		want string
		o    Options
	}{
		{"252d6f43ebb627d83e4010b8459bdcad", Options{}},
		{"3ec485c765e459adb32e622bfe5f02f3", Options{Journal: true, InodeSize: 128, Label: "label"}},
		{"88a2684a8518095c24431aa1ecc4ca3b", Options{Size: 16 << 20, GrowTo: 1 << 40}},
	} {
		o := test.o
		o.UUID = uuid.MustParse("785c439d-9f7b-427a-bf6d-c7b0ff921b9f")
		l, err := Plan(64<<20, o)
		require.NoError(t, err)
		dev := &blocks{at: map[int64][]byte{}}
		now := time.Unix(1_800_000_000, 500).UTC()
		f := formatter{Layout: l, writer: newWriter(context.Background(), dev, l.MetadataBytes, nil)}
		require.NoError(t, f.prepare(identity{uuid: o.UUID, now: now.Unix(), hashSeed: [16]byte{1, 2, 3}}, timestampOf(now)))
		require.NoError(t, f.run())
		assert.Equal(t, test.want, dev.sum(), "%+v", test.o)
	}
}
