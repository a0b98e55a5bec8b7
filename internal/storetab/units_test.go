package storetab

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a generator writes, to the letter.
func TestUnits(t *testing.T) {
	entries, err := Parse("tab", []byte("scratch SERIAL=scratch /run/kata-containers/image wait=8GiB\nspare /dev/vdb none nofail\n"))
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, WriteUnits(dir, entries))
	require.Equal(t, []string{
		"kata-agent.service.requires/trusted-store@scratch.service -> ../trusted-store@.service",
		"kata-agent.service.wants/trusted-store@spare.service -> ../trusted-store@.service",
		"local-fs.target.requires/trusted-store@scratch.service -> ../trusted-store@.service",
		"local-fs.target.wants/trusted-store@spare.service -> ../trusted-store@.service",
		"trusted-store@scratch.service.d/tab.conf: # /etc/trusted-store.tab, line 1\n[Unit]\nSourcePath=/etc/trusted-store.tab\nRequiresMountsFor=/run/kata-containers\n",
		"trusted-store@spare.service.d/tab.conf: # /etc/trusted-store.tab, line 2\n[Unit]\nSourcePath=/etc/trusted-store.tab\n",
	}, tree(t, dir))
	require.Error(t, WriteUnits(dir, entries), "it is not empty")

	dir = t.TempDir()
	require.NoError(t, WriteFaulty(dir))
	require.Equal(t, []string{
		"kata-agent.service.requires/trusted-store-tab.service -> ../trusted-store-tab.service",
		"local-fs.target.requires/trusted-store-tab.service -> ../trusted-store-tab.service",
	}, tree(t, dir))
}

// tree lists what is in a directory: links with where they lead, files with their
// text.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	all := []string{}
	for _, name := range names {
		line := strings.TrimPrefix(name, dir+"/")
		if target, err := os.Readlink(name); err == nil {
			line += " -> " + target
		} else {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			line += ": " + string(text)
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return all
}
