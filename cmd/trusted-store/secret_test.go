package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// requireNoKey looks for the key as it is and in the spellings that logs have.
func requireNoKey(t *testing.T, where, text string) {
	t.Helper()
	for _, spelling := range []string{key, hex.EncodeToString([]byte(key)), base64.StdEncoding.EncodeToString([]byte(key)),
		fmt.Sprint([]byte(key)), key[:8]} {
		require.NotContains(t, text, spelling, where)
	}
}

// The key's bytes are in no place that others read: not in what is printed, the
// process's arguments and environment, the kernel's log or the live table.
func TestKeyIsNowhere(t *testing.T) {
	kernel(t)
	log := storagetest.KernelLog(t)
	host := heldDisk(t)
	disk := host.Path()
	source := "file:" + writeKey(t, key)
	dir := t.TempDir()
	for _, verb := range []string{"create", "open"} {
		p := launchHeld(t, host, verb, disk, "--name", "one", "--mount", dir, "--key", source, "-v")
		requireNoKey(t, "arguments", procFile(t, p, "cmdline"))
		requireNoKey(t, "environment", procFile(t, p, "environ"))
		host.Set(t)
		require.Equal(t, exitDone, p.end(), "%s", &p.stderr)
		require.Contains(t, p.stderr.String(), "done: ", "-v")
		requireNoKey(t, verb+" prints", p.stdout.String()+p.stderr.String())

		table, err := exec.Command(storagetest.Tool(t, "dmsetup"), "table", "--showkeys").CombinedOutput()
		require.NoError(t, err, "%s", table)
		require.Regexp(t, `(?m)^one: .* :96:logon:cryptsetup:[0-9a-f-]{36}-d0 `, string(table), "the key's name, not the key")
		requireNoKey(t, "live table", string(table))
		requireNoKey(t, "an error", runs(t, exitBusy, verb, disk, "--name", "two", "--mount", "none", "--key", source, "-v").stderr.String())
		requireNoKey(t, "status", runs(t, exitDone, "status", "--json").stdout.String())
		runs(t, exitDone, "close", "one")
	}
	wrong := "file:" + writeKey(t, strings.ToUpper(key)+"x")
	requireNoKey(t, "the wrong key", runs(t, cli.ExitWrongKey, "open", disk, "--key", wrong, "-v").stderr.String())
	refusal := runs(t, cli.ExitUsage, "create", disk, "--key", key).stderr.String() // in the place of its source
	requireNoKey(t, "a refusal", refusal)
	requireNoKey(t, "kernel's log", strings.Join(log.Lines(t), "\n"))
}

// launchHeld starts the program and waits until it is at work on the disk, which does
// not answer it.
func launchHeld(t *testing.T, host *storagetest.Faulty, args ...string) *process {
	t.Helper()
	host.Hold(t)
	p := launch(t, args...)
	host.AwaitHeld(t)
	return p
}

func procFile(t *testing.T, p *process, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.Process.Pid, name))
	require.NoError(t, err)
	return string(text)
}

// No core file is written of a process that has a key in its memory.
func TestNoCoreFile(t *testing.T) {
	kernel(t)
	host := heldDisk(t)
	p := launchHeld(t, host, "create", host.Path(), "--name", "one", "--mount", "none")
	require.Regexp(t, `(?m)^Max core file size +0 +0 +bytes`, procFile(t, p, "limits"))
	host.Set(t)
	require.Equal(t, exitDone, p.end(), "%s", &p.stderr)
	runs(t, exitDone, "close", "one")
}
