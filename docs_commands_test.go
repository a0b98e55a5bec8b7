package house_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// verbFlags are the verbs of a command with their flags, from its reference.
func verbFlags(t *testing.T, program string) map[string][]string {
	t.Helper()
	verbs := map[string][]string{}
	for _, part := range strings.Split(read(t, "docs/"+program+".md"), "\n## ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		verbs[name] = append(regexp.MustCompile(`--[a-z-]+`).FindAllString(text, -1), "--help")
	}
	require.Greater(t, len(verbs), 5)
	return verbs
}

// shown are the command lines of these programs in a page.
func shown(page string) []string {
	var lines []string
	for _, block := range fence.FindAllString(page, -1) {
		language, text, _ := strings.Cut(block, "\n")
		if language == "```console" || language == "```bash" {
			for _, l := range strings.Split(text, "\n") {
				lines = append(lines, strings.TrimLeft(l, "$# "))
			}
		}
	}
	for _, span := range codeSpan.FindAllString(fence.ReplaceAllString(page, ""), -1) {
		lines = append(lines, strings.Trim(span, "`"))
	}
	return lines
}

// Every command that a document shows has that verb and these flags.
func TestCommandsOfDocuments(t *testing.T) {
	n := 0
	for _, program := range []string{"trusted-store", "trusted-guest"} {
		verbs := verbFlags(t, program)
		for _, name := range documents(t) {
			for _, line := range shown(read(t, name)) {
				words := strings.Fields(line)
				if len(words) < 2 || words[0] != program || strings.ToUpper(words[1]) == words[1] {
					continue
				}
				n++
				verb := program
				for _, w := range words[1:] {
					if verbs[verb+" "+w] == nil {
						break
					}
					verb += " " + w
				}
				require.True(t, verb != program || strings.HasPrefix(words[1], "-"), "%s: %s: no such verb", name, line)
				for _, w := range words[1:] {
					if flag, _, _ := strings.Cut(w, "="); strings.HasPrefix(flag, "--") {
						require.Contains(t, verbs[verb], flag, "%s: %s", name, line)
					}
				}
			}
		}
	}
	require.Greater(t, n, 40)
}

// Every make target that a document shows is there.
func TestTargetsOfDocuments(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, name := range documents(t) {
		for _, line := range shown(read(t, name)) {
			if words := strings.Fields(line); len(words) > 1 && words[0] == "make" && !strings.Contains(words[1], "=") {
				require.True(t, strings.Contains(makefile, "\n"+words[1]+":"), "%s: %s: no such target", name, line)
			}
		}
	}
}
