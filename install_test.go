package house_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	mod "golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// make install puts all that a package has below DESTDIR, for PREFIX, and nothing elsewhere.
func TestMakeInstall(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the programs: not with -short")
	}
	dir := t.TempDir()
	built := filepath.Join(dir, "built")
	args := []string{"--no-print-directory", "install", "DESTDIR=" + dir, "PREFIX=/opt/it", "BIN=" + built, "SHARE=" + filepath.Join(built, "share")}
	runIn(t, ".", nil, "make", args...)
	require.NoError(t, os.RemoveAll(built))
	text := runIn(t, dir, nil, "find", ".", "(", "-type", "f", "-o", "-type", "l", ")", "-printf", "%m %P\n")
	for _, want := range []string{
		"755 opt/it/bin/trusted-store", "755 opt/it/bin/trusted-guest", "644 opt/it/lib/systemd/system/trusted-guest.service",
		"644 opt/it/lib/systemd/system/trusted-store@.service", "644 opt/it/lib/systemd/system/trusted-store-tab.service",
		"777 opt/it/lib/systemd/system-generators/trusted-store-generator", "755 opt/it/lib/dracut/modules.d/90trusted-store/module-setup.sh",
		"644 opt/it/share/man/man8/trusted-store-create.8.gz", "644 opt/it/share/bash-completion/completions/trusted-guest",
		"644 opt/it/share/zsh/site-functions/_trusted-store", "644 opt/it/share/fish/vendor_completions.d/trusted-store.fish",
		"644 opt/it/share/doc/trusted-store/copyright", "644 opt/it/share/doc/trusted-store/README.md",
	} {
		require.Contains(t, text, want+"\n")
	}
	for _, line := range strings.Fields(text) {
		require.True(t, strings.HasPrefix(line, "opt/it/") || len(line) == 3, line)
	}
	for unit, want := range map[string]string{
		"trusted-guest.service": "guest serve", "trusted-store@.service": "store boot %i", "trusted-store-tab.service": "store units",
	} {
		text := read(t, filepath.Join(dir, "opt/it/lib/systemd/system", unit))
		require.Contains(t, text, "ExecStart=/opt/it/bin/trusted-"+want)
		require.NotContains(t, text, "/usr/bin")
	}
	program, err := filepath.EvalSymlinks(filepath.Join(dir, "opt/it/lib/systemd/system-generators/trusted-store-generator"))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "opt/it/bin/trusted-store"), program)
}

// go install of a version, as the README shows it, makes programs that know it.
func TestGoInstall(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program: not with -short")
	}
	const version = "v0.4.0"
	proxy, bin := t.TempDir(), t.TempDir()
	serveModule(t, proxy, strings.TrimSuffix(module, "/"), version)
	downloaded := "file://" + strings.TrimSpace(runIn(t, ".", nil, "go", "env", "GOMODCACHE")) + "/cache/download"
	upstream := strings.TrimSpace(runIn(t, ".", nil, "go", "env", "GOPROXY"))
	env := append(os.Environ(), "GOBIN="+bin, "GOMODCACHE="+t.TempDir(), "GOPROXY=file://"+proxy+","+downloaded+","+upstream,
		"GOSUMDB=off", "GOFLAGS=-modcacherw -trimpath")
	runIn(t, t.TempDir(), env, "go", "install", module+"cmd/trusted-store@"+version)
	require.Equal(t, "trusted-store version "+version+"\n", runIn(t, ".", nil, filepath.Join(bin, "trusted-store"), "--version"))
}

// serveModule writes the module as a proxy has it.
func serveModule(t *testing.T, proxy, path, version string) {
	t.Helper()
	dir := filepath.Join(proxy, path, "@v")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	f, err := os.Create(filepath.Join(dir, version+".zip"))
	require.NoError(t, err)
	require.NoError(t, zip.CreateFromDir(f, mod.Version{Path: path, Version: version}, "."))
	require.NoError(t, f.Close())
	for name, text := range map[string]string{"list": version + "\n", version + ".info": `{"Version":"` + version + `"}`, version + ".mod": read(t, "go.mod")} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
}
