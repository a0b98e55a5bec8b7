package house_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// documents are all pages that people read.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		all = append(all, found...)
	}
	require.Greater(t, len(all), 15)
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

var (
	fence     = regexp.MustCompile("(?ms)^```.*?^```$")
	codeSpan  = regexp.MustCompile("`[^`\n]+`")
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	reference = regexp.MustCompile(`(?m)^\[[^\]]+\]: (\S+)$`)
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	linked    = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors are the names that headings of a page have in links to it.
func anchors(page string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		title := strings.ToLower(linked.ReplaceAllString(m[1], "$1"))
		all = append(all, strings.ReplaceAll(notInSlug.ReplaceAllString(title, ""), " ", "-"))
	}
	return all
}

// Every link leads somewhere: to a file of this repository, and a heading of it.
func TestLinksOfDocuments(t *testing.T) {
	for _, name := range documents(t) {
		prose := codeSpan.ReplaceAllString(fence.ReplaceAllString(read(t, name), ""), "")
		for _, m := range append(link.FindAllStringSubmatch(prose, -1), reference.FindAllStringSubmatch(prose, -1)...) {
			target := m[1]
			if strings.HasPrefix(target, "https://") {
				continue
			}
			require.NotContains(t, target, "://", name)
			file, anchor, hasAnchor := strings.Cut(target, "#")
			path := name
			if file != "" {
				path = filepath.Join(filepath.Dir(name), file)
				_, err := os.Stat(path)
				require.NoErrorf(t, err, "%s: %s", name, target)
			}
			if hasAnchor {
				require.Contains(t, anchors(read(t, path)), anchor, "%s: %s", name, target)
			}
		}
	}
}

const longest = 145 // characters of a line of prose

// Lines can be read in an editor; tables and links cannot be broken.
func TestLinesOfDocuments(t *testing.T) {
	for _, name := range documents(t) {
		prose := fence.ReplaceAllString(read(t, name), "")
		for _, l := range strings.Split(prose, "\n") {
			if utf8.RuneCountInString(l) > longest && !strings.HasPrefix(strings.TrimSpace(l), "|") && !reference.MatchString(l) {
				t.Errorf("%s: a line of %d characters: %.60s…", name, utf8.RuneCountInString(l), l)
			}
			require.Equal(t, strings.TrimRight(l, " \t"), l, "%s: ends in blanks", name)
		}
	}
}

// The documents have no misspelling that misspell knows; it is of the tools of go.mod.
func TestSpellingOfDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("builds misspell: not with -short")
	}
	out, err := exec.Command("go", append([]string{"tool", "misspell", "-error", "-source", "text"}, documents(t)...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// Every page is in the README's list.
func TestReadmeListsDocuments(t *testing.T) {
	readme := read(t, "README.md")
	for _, name := range documents(t) {
		if name != "README.md" && !strings.HasPrefix(name, "examples/") {
			require.True(t, strings.Contains(readme, "]("+name+")"), "README.md does not list %s", name)
		}
	}
}

// Every message that is explained is one of these programs: its words are in the source.
func TestTroubleshootingKnowsMessages(t *testing.T) {
	_, rest, found := strings.Cut(read(t, "docs/troubleshooting.md"), "\n## Messages\n")
	require.True(t, found)
	table, _, _ := strings.Cut(rest, "\n## ")
	source := productSource(t)
	n := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1) {
		n++
		require.True(t, bytes.Contains(source, []byte(m[1])), "no program says %q", m[1])
	}
	require.Greater(t, n, 10)
}

// productSource is the code of the product, without its tests.
func productSource(t *testing.T) []byte {
	t.Helper()
	var all []byte
	for _, dir := range []string{"storage", "cryptsetup", "integrity", "mkfs", "internal/cli", "cmd"} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			all = append(all, text...)
			return err
		}))
	}
	return all
}

// The picture is of its source: it has the same words.
func TestPictureIsOfItsSource(t *testing.T) {
	picture := read(t, "docs/how-it-works.svg")
	var words []string
	for _, m := range regexp.MustCompile(`label="([^"]+)"`).FindAllStringSubmatch(read(t, "docs/how-it-works.dot"), -1) {
		words = append(words, strings.Split(m[1], `\n`)...)
	}
	require.Greater(t, len(words), 10)
	var texts []string
	for _, m := range regexp.MustCompile(`<text[^>]*>([^<]*)</text>`).FindAllStringSubmatch(picture, -1) {
		texts = append(texts, strings.NewReplacer("&#39;", "'", "&#45;", "-", "&#160;", " ").Replace(strings.TrimSpace(m[1])))
	}
	for i, w := range words {
		words[i] = strings.TrimSpace(w)
	}
	slices.Sort(words)
	slices.Sort(texts)
	require.Equal(t, words, texts, "make diagram draws docs/how-it-works.svg anew")
}
