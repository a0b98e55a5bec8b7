package cryptsetup_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

func TestInspectReportsEveryField(t *testing.T) {
	d, h, _ := newVolume(t, cryptsetup.HMACSHA256, "one")
	r := cryptsetup.Inspect(d.durable, cryptsetup.Profile{})
	require.True(t, r.Accepted)
	require.Empty(t, r.Violations)
	require.Equal(t, h.UUID().String(), r.UUID)
	require.Len(t, r.Copies, 2)
	require.Equal(t, `"SKUL\xba\xbe"`, r.Copies[1].Magic)
	require.Equal(t, r.Copies[0].Computed, r.Copies[0].Checksum)

	fields := map[string]string{}
	for _, f := range r.Metadata {
		fields[f.Path] = f.Value
	}
	for path, want := range map[string]string{
		"keyslots.0.kdf.iterations": "1000", "keyslots.0.area.offset": "32768", "tokens": "{}",
		"segments.0.integrity.type": "hmac(sha256)", "digests.0.keyslots": "0", "config.json_size": "12288",
	} {
		require.Equal(t, want, fields[path], path)
	}
	require.Len(t, fields, 33)
}

func TestInspectAnyInput(t *testing.T) {
	for _, dir := range []string{"good", "foreign", "hostile"} {
		for _, v := range loadVectors(t, dir) {
			b := vectorDevice(t, v)
			r := cryptsetup.Inspect(b, vectorProfile(t, v))
			require.Equal(t, dir == "good", r.Accepted, v.Name)
			requirePrintable(t, r, v.Name)

			out, err := json.Marshal(r)
			require.NoError(t, err, v.Name)
			require.Less(t, len(out), 1<<20, v.Name)
			require.Contains(t, string(out), `"violations":[`, v.Name)
			require.NotContains(t, string(out), ":null", v.Name)
		}
	}
}

// Nothing that a header holds reaches a terminal as it is.
func requirePrintable(t *testing.T, r *cryptsetup.Report, name string) {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	require.False(t, strings.ContainsFunc(text.String(), func(c rune) bool {
		return c != '\n' && (c < 0x20 || c > 0x7e)
	}), "%s: %q", name, text.String())
	require.Contains(t, text.String(), r.Verdict())
	for _, v := range r.Violations {
		require.Contains(t, text.String(), v.Rule, name)
		require.Less(t, len(v.String()), 700, name)
		require.True(t, slices.Contains(cryptsetup.Rules(), v.Rule), "rule %s is not listed", v.Rule)
	}
}

// A terminal has 80 columns, and what is the same twice is read once.
func TestInspectShowsWhereTheCopiesDiffer(t *testing.T) {
	d, h, _ := newVolume(t, cryptsetup.HMACSHA256, "one")
	var text bytes.Buffer
	require.NoError(t, cryptsetup.Inspect(d.durable, cryptsetup.Profile{}).WriteText(&text))
	require.Equal(t, 1, strings.Count(text.String(), h.UUID().String()))
	require.Regexp(t, `(?m)^hdr_offset  0 {37}16384$`, text.String())
	for line := range strings.Lines(text.String()) {
		require.LessOrEqual(t, len(line), 80+len("\n"), line)
	}
	d.durable[24] = 'x'
	text.Reset()
	require.NoError(t, cryptsetup.Inspect(d.durable, cryptsetup.Profile{}).WriteText(&text))
	require.Regexp(t, `(?m)^label +x +-$`, text.String())
	require.Regexp(t, `(?m)^checksum +wrong +right$`, text.String())
}

func TestInspectKeepsATerminalSafe(t *testing.T) {
	for _, v := range loadVectors(t, "hostile") {
		if v.Name != "uuid-terminal" && v.Name != "json-control" {
			continue
		}
		r := cryptsetup.Inspect(vectorDevice(t, v), vectorProfile(t, v))
		var text bytes.Buffer
		require.NoError(t, r.WriteText(&text))
		require.Contains(t, text.String(), `\x1b[`, "%s: the sequence is not shown", v.Name)
		require.NotContains(t, text.String(), "\x1b", v.Name)
	}
}

func TestInspectOfTruncatedInputs(t *testing.T) {
	d, _, _ := newVolume(t, cryptsetup.HMACSHA256, "one")
	for _, n := range []int{0, 1, 5, 6, 7, 8, 100, 4095, 4096, 16383, 16384, 16390, 32767, 32768, 400000, 417791} {
		r := cryptsetup.Inspect(d.durable[:n], cryptsetup.Profile{})
		require.False(t, r.Accepted, "%d bytes", n)
		requirePrintable(t, r, "")
	}
	require.True(t, cryptsetup.Inspect(d.durable[:417792], cryptsetup.Profile{}).Accepted)
}

func TestRejectedErrorIsBounded(t *testing.T) {
	e := &cryptsetup.RejectedError{}
	for range 10 {
		e.Violations = append(e.Violations, cryptsetup.Violation{Rule: "segment.size", Where: "segments.0.size", Detail: "x"})
	}
	require.Equal(t, "LUKS2 header rejected: "+strings.Repeat("segment.size (segments.0.size): x; ", 4)+"and 6 more", e.Error())
	require.True(t, e.Has("segment.size"))
	require.False(t, e.Has("segment.type"))
}
