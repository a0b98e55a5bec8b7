package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sample is a module whose packages end in every way that a package can.
var sample = map[string]string{
	"go.mod": "module sample\n\ngo 1.26\n",
	"good/good_test.go": `package good
import "testing"
func TestPasses(t *testing.T) { t.Run("sub", func(t *testing.T) {}) }
func TestSkips(t *testing.T) { t.Skip("not here") }
`,
	"bad/bad_test.go": `package bad
import "testing"
func TestPasses(t *testing.T) { t.Log("nobody reads this") }
func TestFails(t *testing.T) { t.Error("the reason") }
`,
	"dead/dead_test.go": `package dead
import ("os"; "testing")
func TestPasses(t *testing.T) {}
func TestEnds(t *testing.T) { println("last words"); os.Exit(3) }
`,
	"broken/broken_test.go": `package broken
import "testing"
func TestNothing(t *testing.T) { undefined() }
`,
	"none/none.go": "package none\n",
}

// testSample tests packages of the sample and returns what was printed.
func testSample(t *testing.T, packages ...string) (counts, string) {
	t.Helper()
	t.Setenv("GOFLAGS", "")
	t.Chdir(t.TempDir())
	for name, text := range sample {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
	var printed strings.Builder
	out := &lines{w: &printed}
	var sum counts
	for _, p := range packages {
		c, err := run{name: "here"}.test(context.Background(), settings{gotool: "go"}, p, out)
		require.NoError(t, err)
		sum.add(c)
	}
	return sum, printed.String()
}

func TestPassedAndSkippedAreCounted(t *testing.T) {
	c, text := testSample(t, "./good", "./none")
	require.Equal(t, "2 passed, 0 failed, 1 skipped", c.String())
	require.Equal(t, 2, c.packages)
	require.Regexp(t, `(?m)^here: ok  \tsample/good\t`, text)
	require.NotContains(t, text, "RUN")
}

func TestFailureIsShown(t *testing.T) {
	c, text := testSample(t, "./bad")
	require.Equal(t, "1 passed, 1 failed, 0 skipped", c.String())
	require.Contains(t, text, "the reason")
	require.Contains(t, text, "here: FAIL\tsample/bad")
	require.NotContains(t, text, "nobody reads this")
}

// A package that ends without a word about its tests, or cannot be built, is a
// failure although no test failed.
func TestDeathIsAFailure(t *testing.T) {
	c, text := testSample(t, "./dead")
	require.Equal(t, 1, c.failed)
	require.Contains(t, text, "last words")
	c, text = testSample(t, "./broken")
	require.Equal(t, 1, c.failed)
	require.Contains(t, text, "undefined: undefined")
	c, _ = testSample(t, "./missing")
	require.Equal(t, 1, c.failed)
}

func TestGuestOfAnotherArchitecture(t *testing.T) {
	s := settings{gotool: "go", guest: "go tool guest", disk: "1G"}
	r := qemu(s, "6.12", "s390x", "2", []string{"./storage"}).only("Create")
	require.Equal(t, []string{
		"go", "test", "-json", "-count=1", "-timeout", "3h", "-exec",
		"env GOARCH= go tool guest -bed qemu -kernel 6.12 -arch s390x -cpus 2 -disk 1G", "-run", "Create", "./storage",
	}, r.command(s, "./storage"))
}

func TestTableIsWrittenBetweenItsMarks(t *testing.T) {
	one := result{
		run: run{name: "uml-6.1"}, kernel: kernel{"6.1.176", "x86_64", "1"},
		counts: counts{packages: 2, passed: 3, failed: 1, skipped: 4, seconds: 5.6},
	}
	two := one
	two.name = "uml-6.12"
	file := t.TempDir() + "/kernels.md"
	require.NoError(t, os.WriteFile(file, []byte("before\n"+beginMark+endMark+"after\n"), 0o644))
	head := "before\n" + beginMark +
		"| Run | Linux | CPU | CPUs | Packages | Tests | Passed | Failed | Skipped | Seconds | Date |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
	tail := " | 6.1.176 | x86_64 | 1 | 2 | 8 | 3 | 1 | 4 | 6 | " + time.Now().UTC().Format(time.DateOnly) + " |\n"
	require.NoError(t, rewrite(file, []result{one, two}))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, head+"| uml-6.1"+tail+"| uml-6.12"+tail+endMark+"after\n", string(text))

	one.passed = 30
	require.NoError(t, rewrite(file, []result{one}))
	text, err = os.ReadFile(file)
	require.NoError(t, err)
	changed := strings.Replace(tail, "| 8 | 3 |", "| 35 | 30 |", 1)
	require.Equal(t, head+"| uml-6.1"+changed+"| uml-6.12"+tail+endMark+"after\n", string(text), "the row of another run stays")

	require.NoError(t, os.WriteFile(file, []byte("no marks\n"), 0o644))
	require.ErrorContains(t, rewrite(file, nil), beginMark[:10])
}

func TestOnlyPlansCanBeAskedFor(t *testing.T) {
	require.ErrorContains(t, testAll(context.Background(), settings{}, []string{"everything"}, ""), "test or kernels")
	require.ErrorContains(t, testAll(context.Background(), settings{}, []string{"kernels", "uml-7.0"}, ""), `"uml-7.0"`)
}

// TestNamesOfTestsExist wants each name in a plan to be that of a test.
func TestNamesOfTestsExist(t *testing.T) {
	text, err := exec.Command("sh", "-c", "cat $(find ../.. -name '*_test.go')").Output()
	require.NoError(t, err)
	var tests []string
	for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
		tests = append(tests, m[1])
	}
	for _, name := range slices.Concat(notAsked, slowEmulated, ofBytes) {
		require.Contains(t, tests, name)
	}
	for _, name := range slices.Concat(onEveryCPU, onEveryKernel) {
		require.Contains(t, tests, "Test"+name)
	}
	for _, r := range tight(settings{}) {
		pattern := regexp.MustCompile(r.args[len(r.args)-1])
		require.True(t, pattern.MatchString(strings.Join(tests, "\n")), "no test is named like %s", pattern)
	}
}
