package storetab

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	entries, err := Parse("tab", []byte("# a comment\n\n\t one /dev/disk/by-id/virtio-a /run/a  \n  # another\ntwo\tSERIAL=a=b none wait=8GiB,nofail"))
	require.NoError(t, err)
	require.Equal(t, []Entry{
		{Line: 3, Name: "one", Device: Device{"", "/dev/disk/by-id/virtio-a"}, MountPoint: "/run/a"},
		{Line: 5, Name: "two", Device: Device{Serial, "a=b"}, MountPoint: "none", Options: []Option{{"wait", "8GiB"}, {"nofail", ""}}},
	}, entries)
	for _, empty := range []string{"", "\n", "# nothing\n"} {
		entries, err := Parse("tab", []byte(empty))
		require.NoError(t, err)
		require.Empty(t, entries)
	}
}

// What is wrong is named, with its line, and nothing is taken.
func TestParseRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"one":                              "1 fields, expected NAME DEVICE MOUNTPOINT",
		"one /dev/a /b nofail wait":        "5 fields",
		"one LABEL=a /b":                   "neither label nor UUID",
		"one SERIAL= /b":                   `device "SERIAL=": expected a path`,
		"one serial=a /b":                  `device "serial=a": expected a path`,
		"one sda /b":                       `device "sda"`,
		"one 8:16 /b":                      `device "8:16"`,
		"one /dev/../a /b":                 "device",
		"one /dev/a b":                     "mount point",
		"one /dev/a /":                     "mount point",
		"one /dev/a /b/":                   "mount point",
		"one /dev/a /b/../c":               "mount point",
		"one /dev/a /%h":                   "mount point",
		`one /dev/a /a\x20b`:               "mount point",
		"-one /dev/a /b":                   `name "-one"`,
		"one/two /dev/a /b":                `name "one/two"`,
		"one@two /dev/a /b":                `name "one@two"`,
		strings.Repeat("a", 76) + " /d /b": "name",
		"one /dev/a /b ,":                  "options",
		"one /dev/a /b nofail,":            "options",
		"one /dev/a /b wait=":              "option wait= has no value",
		"one /dev/a /b wait,wait=8":        "option wait is there twice",
		"one /dev/a\x01 /b":                `control character '\x01'`,
		"one /dev/a /b\r":                  `control character '\r'`,
		"one /dev/a\xff /b":                "not UTF-8",
		"zero /dev/a /b":                   "name zero is that of line 1",
		"one /dev/zero /b":                 "device /dev/zero is that of line 1",
		"one /dev/a /zero":                 "mount point /zero is that of line 1",
	} {
		entries, err := Parse("the/tab", []byte("zero /dev/zero /zero\n"+line+"\n"))
		require.Empty(t, entries)
		where := new(LineError)
		require.ErrorAs(t, err, &where, line)
		require.Equal(t, 2, where.Line)
		require.ErrorContains(t, err, "the/tab:2: ")
		require.ErrorContains(t, err, want, line)
	}
	_, err := Parse("tab", make([]byte, MaxFile+1))
	require.ErrorContains(t, err, "more than 65536 bytes")
	_, err = Parse("tab", []byte("one\ntwo\n"))
	require.ErrorContains(t, err, "tab:1: ")
	require.ErrorContains(t, err, "tab:2: ")
}

// Whatever the text, what is taken can be written and read again, and is nothing that
// a unit's file could take for something else.
func FuzzParse(f *testing.F) {
	f.Add([]byte("# a comment\none SERIAL=a /run/a wait=8GiB,nofail\ntwo /dev/b none\n"))
	f.Add([]byte("one PARTLABEL=scratch /a%b\n\ttwo /dev/\\x20 /c\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := Parse("tab", text)
		if err != nil {
			require.Empty(t, entries)
			return
		}
		var again strings.Builder
		for _, e := range entries {
			require.Empty(t, strings.Trim(e.Name+e.MountPoint, letters+"/_.:@+=~-"))
			require.NotContains(t, e.Name, "/")
			options := []string{}
			for _, o := range e.Options {
				options = append(options, o.String())
			}
			fmt.Fprintln(&again, e.Name, e.Device, e.MountPoint, strings.Join(options, ","))
		}
		same, err := Parse("tab", []byte(again.String()))
		require.NoError(t, err)
		require.Len(t, same, len(entries))
		for i, e := range same {
			e.Line = entries[i].Line
			require.Equal(t, entries[i], e)
		}
	})
}
