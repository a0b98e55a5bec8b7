package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// systemd takes the units that are installed, and with them what the generator
// writes, without a word.
func TestUnitsForSystemd(t *testing.T) {
	if storagetest.Bed() != "" {
		t.Skip("needs no bed")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd:", err) // make release-check has it
	}
	dir := t.TempDir()
	tab := filepath.Join(dir, "tab")
	require.NoError(t, os.WriteFile(tab, []byte("scratch SERIAL=a /run/a\nsp.a_re-2 /dev/b none nofail\n"), 0o644))
	require.Equal(t, cli.ExitDone, run(t.Context(), []string{"units", dir, "early", "late", "--tab", tab}, io.Discard, io.Discard))
	for _, unit := range []string{"trusted-store@.service", "trusted-store-tab.service"} {
		text, err := os.ReadFile(unit)
		require.NoError(t, err)
		there := strings.ReplaceAll(string(text), "=/usr/bin/trusted-store", "=/bin/true") // it must exist
		require.NoError(t, os.WriteFile(filepath.Join(dir, unit), []byte(there), 0o644))
	}
	requireRightUnits(t, dir, "trusted-store@scratch.service", "trusted-store@sp.a_re-2.service", "trusted-store-tab.service")
}

func requireRightUnits(t *testing.T, dir string, units ...string) {
	t.Helper()
	verify := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...)
	verify.Dir = dir // where names are looked for first
	verify.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := verify.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}

// modulesOf are the modules of an option of the kernel's configuration. Those that
// have none are not modules.
var modulesOf = map[string]string{
	"CONFIG_MD": "", "CONFIG_KEYS": "", "CONFIG_MEMFD_CREATE": "",
	"CONFIG_BLK_DEV_DM": "dm_mod", "CONFIG_DM_CRYPT": "dm_crypt", "CONFIG_DM_INTEGRITY": "dm_integrity", "CONFIG_BLK_DEV_LOOP": "loop",
	"CONFIG_EXT4_FS": "ext4", "CONFIG_CRYPTO_AES": "aes_generic", "CONFIG_CRYPTO_AEGIS128": "aegis128", "CONFIG_CRYPTO_AUTHENC": "authenc", "CONFIG_CRYPTO_ECB": "ecb",
	"CONFIG_CRYPTO_HMAC": "hmac", "CONFIG_CRYPTO_SHA256": "sha256_generic", "CONFIG_CRYPTO_XTS": "xts",
}

// What brings modules into an image brings those of the configuration that is
// shipped, which is what doctor asks for.
func TestModulesOfImages(t *testing.T) {
	var want []string
	for _, option := range shippedOptions(t) {
		module, known := modulesOf[option]
		require.True(t, known, "which module is of %s?", option)
		if module != "" {
			want = append(want, module)
		}
	}
	for file, pattern := range map[string]string{
		"image/module-setup.sh": `(?m)^modules="(.*)"$`,
		"image/mkosi.conf":      `(?ms)^KernelModulesInitrdInclude=\n(.*?)\n\n`,
	} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		found := regexp.MustCompile(pattern).FindStringSubmatch(string(text))
		require.NotNil(t, found, file)
		names := strings.NewReplacer("/", "", ".ko", "", "[-_]", "_").Replace(found[1])
		require.ElementsMatch(t, want, strings.Fields(names), file)
	}
}
