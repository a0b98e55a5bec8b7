package securemount

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trusted-store/trusted-store/storage"
)

// flags are the mount flags that are known. A store is always mounted with nodev,
// nosuid and noatime: what says so adds nothing, and what says otherwise is
// refused.
var flags = map[string]storage.MountFlags{
	"ro": storage.ReadOnly, "noexec": storage.NoExec,
	"rw": 0, "exec": 0, "async": 0, "defaults": 0, "nodev": 0, "nosuid": 0, "noatime": 0, "nodiratime": 0,
}

func (p *parser) mountFlags(given []string) (set storage.MountFlags) {
	for _, name := range given {
		flag, known := flags[name]
		if !known {
			p.problem("flag %s: expected %s", quote(name), oneOf(flags))
		}
		set |= flag
	}
	for _, pair := range [][2]string{{"ro", "rw"}, {"noexec", "exec"}} {
		if slices.Contains(given, pair[0]) && slices.Contains(given, pair[1]) {
			p.problem("flags %s and %s: they contradict each other", pair[0], pair[1])
		}
	}
	return set
}

// oneOf lists what is accepted.
func oneOf[T any](values map[string]T) string {
	var quoted []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	return strings.Join(quoted, " or ")
}
