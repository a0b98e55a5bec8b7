package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

// storesOfAllKinds has every state and note, a directory and a name that are long.
func storesOfAllKinds() []storage.Status {
	return []storage.Status{
		{Name: "encrypted_disk_ABCDE", State: storage.StateMounted, Sectors: 16614128, Growth: &storage.Growth{Bytes: 1 << 30, Target: 8 << 30, Grower: 4194304},
			Mounts: []storage.Mount{{Dir: storage.DefaultMountPoint, Options: "rw,nosuid,nodev,noatime"}}},
		{Name: "b", State: storage.StateMounted, Sectors: 1 << 31, Growth: &storage.Growth{Bytes: 1 << 30, Target: 8 << 30},
			Mounts: []storage.Mount{{Dir: "/var/lib/kubelet/pods/0e8f8a9c-7c9e-4d3b-9a56-1f7c0f8b8d11/volumes/größe", Options: "rw,nosuid"}}},
		{Name: "c", State: storage.StateMapped, Sectors: 96736, IntegrityErrors: storage.IntegrityErrors{Known: true, AtLeast: 3}},
		{Name: "d", State: storage.StateIncomplete, Problems: []string{"the encryption layer is missing"}},
	}
}

func TestStatusOfSeveralHasOneLineEach(t *testing.T) {
	list := storesOfAllKinds()
	var out bytes.Buffer
	writeList(&out, list)
	require.Equal(t, `NAME                  STATE       MOUNT                       SIZE     NOTE
encrypted_disk_ABCDE  mounted     /run/kata-containers/image  7.9 GiB  at 12 %
b                     mounted     …f7c0f8b8d11/volumes/größe  1.0 TiB  stopped
c                     mapped      -                           47 MiB   ERRORS
d                     incomplete  -                           -        PROBLEM

trusted-store status NAME shows all of one.
`, out.String())
	requireColumns(t, out.String())

	list[1].Name = strings.Repeat("n", 33)
	out.Reset()
	writeList(&out, list)
	requireColumns(t, out.String())
}

func TestStatusOfOneFits(t *testing.T) {
	list := storesOfAllKinds()
	list[1].Mounts[0].Dir = "/var/lib/images" // a directory is one word, which stays whole
	for _, s := range list {
		s.Problems = append(s.Problems, "integrity: the live table has offset 0 and tags of 16 bytes, the profile 32768 and 32")
		var out bytes.Buffer
		writeStatus(&out, &s)
		requireColumns(t, out.String())
	}
}

func requireColumns(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, utf8.RuneCountInString(line), cli.Columns+1, line)
	}
}
