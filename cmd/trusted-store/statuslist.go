package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"github.com/trusted-store/trusted-store/storage"
)

// writeList shows several stores, one line each.
func writeList(w io.Writer, list []storage.Status) {
	room := mountRoom(list)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTATE\tMOUNT\tSIZE\tNOTE")
	for i := range list {
		s := &list[i]
		mount, size := "-", "-"
		if len(s.Mounts) > 0 {
			mount = lastOf(s.Mounts[0].Dir, room)
		}
		if s.Swap != nil {
			mount = "[SWAP]" // as lsblk shows it
		}
		if s.Sectors > 0 {
			size = humanize.IBytes(s.Sectors * 512)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", s.Name, s.State, mount, size, note(s))
	}
	_ = t.Flush() // the terminal's errors are nobody's to handle
	fmt.Fprintln(w, "\ntrusted-store status NAME shows all of one.")
}

// note is what one must know of a store before anything else.
func note(s *storage.Status) string {
	g := s.Growth
	switch {
	case len(s.Problems) > 0:
		return "PROBLEM"
	case s.IntegrityErrors.AtLeast > 0:
		return "ERRORS"
	case g == nil, g.Full():
		return "-"
	case g.Grower == 0:
		return "stopped"
	}
	return fmt.Sprintf("at %d %%", 100*g.Bytes/g.Target)
}

// mountRoom is how much of a directory fits on a line: the default one beside a
// name that was not chosen, and less beside a longer name.
func mountRoom(list []storage.Status) int {
	const name, least = len(storage.NamePrefix) + 5, 8
	longest := name
	for i := range list {
		longest = max(longest, len(list[i].Name))
	}
	return max(len(storage.DefaultMountPoint)+name-longest, least)
}

// lastOf returns a text, or the end of it that has n letters.
func lastOf(text string, n int) string {
	over := utf8.RuneCountInString(text) - n
	if over <= 0 {
		return text
	}
	return "…" + string([]rune(text)[over+1:])
}
