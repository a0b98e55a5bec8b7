package storage

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestErrorLog(t *testing.T) {
	layers := []string{"dm-1", "dm-0"}
	line := func(at time.Duration, text string) string {
		return fmt.Sprintf("<4>[%12.6f] %s\n", at.Seconds(), text)
	}
	failed := func(at time.Duration, device string) string {
		return line(at, "device-mapper: crypt: "+device+": INTEGRITY AEAD ERROR, sector 8")
	}
	flood := func(at time.Duration) (lines []string) {
		for i := range 10 {
			lines = append(lines, failed(at+time.Duration(i)*time.Millisecond, "dm-7"))
		}
		return lines
	}
	began := line(100*time.Second, beginningOf(layers))
	for name, c := range map[string]struct {
		lines []string
		want  IntegrityErrors
	}{
		"no beginning":               {nil, IntegrityErrors{}},
		"an error, no beginning":     {[]string{failed(1, "dm-0")}, IntegrityErrors{AtLeast: 1}},
		"none":                       {[]string{began}, IntegrityErrors{Known: true}},
		"one":                        {[]string{began, failed(101*time.Second, "dm-0")}, IntegrityErrors{true, 1}},
		"of the store before":        {[]string{failed(99*time.Second, "dm-0"), began}, IntegrityErrors{Known: true}},
		"of dm-10":                   {[]string{began, failed(101*time.Second, "dm-10")}, IntegrityErrors{Known: true}},
		"many of another, long ago":  {append(flood(10*time.Second), began), IntegrityErrors{Known: true}},
		"many of another, just then": {append(flood(98*time.Second), began), IntegrityErrors{}},
		"many of another, since":     {append([]string{began}, flood(200*time.Second)...), IntegrityErrors{}},
		"many, and one of ours":      {append([]string{began, failed(150*time.Second, "dm-1")}, flood(200*time.Second)...), IntegrityErrors{true, 1}},
		"a beginning of another":     {[]string{line(1, beginningOf([]string{"dm-1"}))}, IntegrityErrors{}},
	} {
		log := errorLog{layers: layers}
		for _, l := range c.lines {
			log.add([]byte(l))
		}
		require.Equal(t, c.want, log.errors(), name)
	}
	require.Equal(t, 12345678*time.Microsecond, lineTime([]byte("<14>[   12.345678][    T1] with its thread")))
	require.Zero(t, lineTime([]byte("<4>without a time [1.5]")))
	require.Zero(t, lineTime([]byte("<4>[x] text")))
	require.Zero(t, lineTime([]byte("<4>[1.5")))
}

func TestParseFailedRead(t *testing.T) {
	for text, want := range map[string]failedRead{
		"<4>[    1.5] device-mapper: crypt: dm-1: INTEGRITY AEAD ERROR, sector 8\n":              {"dm-1", 8},
		"4,12,3456,-;device-mapper: crypt: dm-12: INTEGRITY AEAD ERROR, sector 90\n KEY=value\n": {"dm-12", 90},
	} {
		got, is := parseFailedRead([]byte(text))
		require.True(t, is, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "dm-1: INTEGRITY AEAD ERROR", "dm-1: INTEGRITY AEAD ERROR, sector x", "INTEGRITY"} {
		_, is := parseFailedRead([]byte(text))
		require.False(t, is, text)
	}
}
