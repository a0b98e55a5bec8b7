package house_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What `make build` makes says the same version and commit in a clone and in what
// git archive makes of the commit, before and after a tag.
func TestVersionOfCloneAndArchive(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the programs four times: not with -short")
	}
	r := newRepository(t)
	r.git("commit", "--quiet", "--allow-empty", "--message", "one")
	r.requireVersion(regexp.MustCompile(`^v0\.0\.0-\d{14}-([0-9a-f]{12}), commit ([0-9a-f]{40})$`))
	r.git("tag", "v0.4.0")
	r.git("commit", "--quiet", "--allow-empty", "--message", "two")
	r.requireVersion(regexp.MustCompile(`^v0\.4\.1-0\.\d{14}-([0-9a-f]{12}), commit ([0-9a-f]{40})$`))
}

// repository is one with these files, as they are now, in a directory of its own.
type repository struct {
	t   *testing.T
	dir string
	env []string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	r := &repository{t: t, dir: filepath.Join(t.TempDir(), "repository")}
	r.env = append(os.Environ(), "GIT_DIR="+r.dir, "GIT_WORK_TREE="+here, "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org")
	r.git("init", "--quiet")
	r.git("add", "--all")
	return r
}

func (r *repository) git(args ...string) string { return runIn(r.t, ".", r.env, "git", args...) }

// requireVersion builds both programs both ways.
func (r *repository) requireVersion(want *regexp.Regexp) {
	r.t.Helper()
	commit := strings.TrimSpace(r.git("rev-parse", "HEAD"))
	archive, clone := r.t.TempDir(), filepath.Join(r.t.TempDir(), "clone")
	tar := exec.Command("tar", "-x", "-C", archive)
	tar.Stdin = strings.NewReader(r.git("archive", "HEAD"))
	out, err := tar.CombinedOutput()
	require.NoError(r.t, err, "%s", out)
	runIn(r.t, ".", nil, "git", "clone", "--quiet", r.dir, clone)
	for _, dir := range []string{archive, clone} {
		runIn(r.t, dir, nil, "make", "build")
		for _, program := range []string{"trusted-store", "trusted-guest"} {
			text := strings.TrimSpace(runIn(r.t, dir, nil, "bin/"+program, "--version"))
			version, ok := strings.CutPrefix(text, program+" version ")
			require.True(r.t, ok, text)
			m := want.FindStringSubmatch(version)
			require.NotNil(r.t, m, "%s: %s", dir, version)
			require.Equal(r.t, commit, m[2])
			require.Equal(r.t, commit[:12], m[1])
		}
	}
}

// runIn runs a program in a directory and returns what it printed on standard output.
func runIn(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	var errors bytes.Buffer
	c := exec.Command(name, args...)
	c.Dir, c.Env, c.Stderr = dir, env, &errors
	out, err := c.Output()
	require.NoError(t, err, "%s %v: %s%s", name, args, out, &errors)
	return string(out)
}
