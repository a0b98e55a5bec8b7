package cli

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

const aCommit = "0123456789abcdef0123456789abcdef01234567"

func TestArchived(t *testing.T) {
	for text, want := range map[string]string{
		aCommit + " 1795000000 \n":                               "v0.0.0-20261118110640-0123456789ab, commit " + aCommit,
		aCommit + " 1795000000 v1.2.3\n":                         "v1.2.3, commit " + aCommit,
		aCommit + " 1795000000 v1.2.3-4-g0123456\n":              "v1.2.4-0.20261118110640-0123456789ab, commit " + aCommit,
		aCommit + " 1795000000 v1.2.3-rc.1\n":                    "v1.2.3-rc.1, commit " + aCommit,
		aCommit + " 1795000000 v1.2.3-rc.1-4-g0123456\n":         "v1.2.3-rc.1.0.20261118110640-0123456789ab, commit " + aCommit,
		aCommit + " 1795000000 version-of-others\n":              "v0.0.0-20261118110640-0123456789ab, commit " + aCommit,
		aCommit + " 1795000000 %(describe:tags=true,match=v*)\n": "v0.0.0-20261118110640-0123456789ab, commit " + aCommit, // git before 2.32
	} {
		b, ok := archived(text)
		require.True(t, ok, text)
		require.Equal(t, want, b.String(), text)
	}
}

func TestNotArchived(t *testing.T) {
	for _, text := range []string{"$Format:%H %ct$\n", "", "\n", "0123 1795000000", aCommit, aCommit + " yesterday"} {
		_, ok := archived(text)
		require.False(t, ok, text)
	}
}

func TestStamped(t *testing.T) {
	info := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	require.Equal(t, "v1.2.3", stamped(info("v1.2.3")).String())
	require.Equal(t, "(devel)", stamped(info("(devel)")).String())
	require.Equal(t, "unknown", stamped(info("")).String())
	commit := debug.BuildSetting{Key: "vcs.revision", Value: aCommit}
	require.Equal(t, "v0.0.1, commit "+aCommit, stamped(info("v0.0.1", commit)).String())
}
