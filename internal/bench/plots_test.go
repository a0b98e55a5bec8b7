package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The committed documents are what the committed results give.
func TestDocumentsAreUpToDate(t *testing.T) {
	const docs = "../../docs"
	dir := t.TempDir()
	for _, name := range []string{resultsName, "performance.md"} {
		text, err := os.ReadFile(filepath.Join(docs, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	require.NoError(t, (&outside{docs: dir}).render())
	for _, name := range []string{"performance.md", "performance-usable.svg", "performance-throughput.svg", "performance-journals.svg"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		have, err := os.ReadFile(filepath.Join(docs, name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), "go run ./internal/bench -render writes docs/%s anew", name)
	}
}

// A bar that ends at the panel's top says how far it would go, and others do not.
func TestCutBarsAreMarked(t *testing.T) {
	p := panel{0, 0, 100, 100}
	d := newDrawing(100, 100, "")
	d.bar(p, 0, 10, spread{3.5, 3, 5, 3}, 4, "red")
	require.NotContains(t, d.end(), "×")
	d.bar(p, 0, 10, spread{10.2, 10, 11, 3}, 4, "red")
	require.Contains(t, d.end(), ">10.2×<")
}

// The product's line is drawn last, and so on top.
func TestOwnLineIsOnTop(t *testing.T) {
	r, err := loadResults("../../docs/" + resultsName)
	require.NoError(t, err)
	curves, _, found := strings.Cut(r.plotUsable(), plottedSides[0].title+"</text>")
	require.True(t, found)
	last := strings.LastIndex(curves, `<line `)
	require.Contains(t, curves[last:last+200], `stroke="`+colors[oursSide]+`"`)
}
