package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

// shippedOptions are those of the kernel configuration that is shipped.
func shippedOptions(t *testing.T) []string {
	t.Helper()
	fragment, err := os.ReadFile("trusted-store.config")
	require.NoError(t, err)
	var has []string
	for line := range strings.Lines(string(fragment)) {
		if !strings.HasPrefix(line, "#") {
			has = append(has, strings.TrimSuffix(line, "=y\n"))
		}
	}
	return has
}

// The configuration that is shipped has what doctor asks for, and nothing else.
func TestKernelConfiguration(t *testing.T) {
	asked := map[string]bool{}
	for _, c := range storage.Diagnose("").Checks {
		for _, o := range c.Options {
			asked[o] = true
		}
	}
	var want []string
	for o := range asked {
		want = append(want, o)
	}
	require.ElementsMatch(t, want, shippedOptions(t))
}

// The status is that of the first line that fails; without device-mapper it says
// what to build the kernel with.
func TestDoctorHere(t *testing.T) {
	var out strings.Builder
	status := run(t.Context(), []string{"doctor", "--json"}, &out, io.Discard)
	var found storage.Diagnosis
	require.NoError(t, json.Unmarshal([]byte(out.String()), &found))
	byThing := map[string]storage.Check{}
	for _, c := range found.Checks {
		byThing[c.Thing] = c
		if c.Result == storage.CheckFails {
			require.NotEmpty(t, c.Advice, c.Thing)
		}
	}
	misc, err := os.ReadFile("/proc/misc")
	require.NoError(t, err)
	switch {
	case byThing["privilege"].Result == storage.CheckFails:
		require.Equal(t, cli.ExitUsage, status)
	case !strings.Contains(string(misc), "device-mapper"):
		require.Equal(t, cli.ExitNotSupported, status)
		require.Equal(t, storage.CheckFails, byThing["device-mapper"].Result)
		require.Contains(t, byThing["device-mapper"].Found, "CONFIG_BLK_DEV_DM")
	}
}
