package dm_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

func TestTableEncodeOnEveryCPU(t *testing.T) {
	b, err := dm.Table{
		{Start: 0, Length: 8, Target: dm.Error{}},
		{Start: 8, Length: 16, Target: dm.Linear{Device: below, Offset: 32768}},
	}.Encode()
	require.NoError(t, err)
	require.Len(t, b, 48+56) // 40 + 1, and 40 + 10, each up to a multiple of 8
	ne := binary.NativeEndian
	require.Equal(t, uint64(0), ne.Uint64(b))
	require.Equal(t, uint64(8), ne.Uint64(b[8:]))
	require.Equal(t, uint32(48), ne.Uint32(b[20:]))
	require.Equal(t, "error\x00", string(b[24:30]))
	require.Equal(t, make([]byte, 8), b[40:48])
	require.Equal(t, uint64(16), ne.Uint64(b[48+8:]))
	require.Equal(t, "7:3 32768\x00", string(b[48+40:48+50]))
}

func TestTableRefused(t *testing.T) {
	zero := dm.Zero{}
	for name, table := range map[string]dm.Table{
		"empty":           nil,
		"late start":      {{Start: 8, Length: 8, Target: zero}},
		"gap":             {{Length: 8, Target: zero}, {Start: 9, Length: 8, Target: zero}},
		"overlap":         {{Length: 8, Target: zero}, {Start: 7, Length: 8, Target: zero}},
		"no length":       {{Target: zero}},
		"no target":       {{Length: 8}},
		"end beyond 2^64": {{Length: 8, Target: zero}, {Start: 8, Length: 1<<64 - 8, Target: zero}},
		"long kind":       {{Length: 8, Target: kind("sixteen-bytes-xx")}},
	} {
		_, err := table.Encode()
		require.ErrorIs(t, err, dm.ErrInvalidTable, name)
	}
}

type kind string

func (k kind) Kind() string { return string(k) }
func (kind) Params() string { return "" }

// encodedLines is an answer to the table command with Next as the kernel counts.
func encodedLines(t testing.TB, lines ...dm.StatusLine) []byte {
	var b []byte
	for _, l := range lines {
		size := (unix.SizeofDmTargetSpec + len(l.Text) + 1 + 7) &^ 7
		spec := unix.DmTargetSpec{Sector_start: l.Start, Length: l.Length, Next: uint32(len(b) + size)}
		copy(spec.Target_type[:], l.Kind)
		end := len(b) + size
		var err error
		b, err = binary.Append(b, binary.NativeEndian, &spec)
		require.NoError(t, err)
		b = append(b, l.Text...)
		b = append(b, make([]byte, end-len(b))...)
	}
	return b
}

func TestParseLinesOnEveryCPU(t *testing.T) {
	want := []dm.StatusLine{{0, 8, "linear", "7:3 1"}, {8, 16, "error", ""}, {24, 8, "zero", "x"}}
	b := encodedLines(t, want...)
	got, err := dm.ParseLines(b, 3)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for cut := range len(b) - 8 {
		_, err := dm.ParseLines(b[:cut], 3)
		require.Error(t, err, "cut to %d bytes", cut)
	}
	binary.NativeEndian.PutUint32(b[20:], 0)
	_, err = dm.ParseLines(b, 3)
	require.Error(t, err, "a line that is its own successor")
}

func TestParseEmptyAnswers(t *testing.T) {
	lines, err := dm.ParseLines(nil, 0)
	require.NoError(t, err)
	require.Empty(t, lines)
	names, err := dm.ParseNames(make([]byte, 16))
	require.NoError(t, err)
	require.Empty(t, names)
	deps, err := dm.ParseDeps(nil)
	require.NoError(t, err)
	require.Empty(t, deps)
}

// Whatever the kernel, or something in its place, answers: an error at worst.
func FuzzAnswers(f *testing.F) {
	f.Add(encodedLines(f, dm.StatusLine{0, 8, "linear", "7:3 1"}, dm.StatusLine{8, 16, "error", ""}), uint32(2))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 'a', 0, 0, 0}, uint32(1))
	f.Add([]byte{16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 'z', 0}, uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, count uint32) {
		lines, _ := dm.ParseLines(b, count)
		names, _ := dm.ParseNames(b)
		versions, _ := dm.ParseVersions(b)
		deps, _ := dm.ParseDeps(b)
		if n := len(lines)*40 + len(names)*12 + len(versions)*16 + len(deps)*8; n > 4*len(b) {
			t.Errorf("%d bytes gave more entries than they can hold", len(b))
		}
	})
}
