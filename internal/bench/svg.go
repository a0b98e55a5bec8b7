package main

import (
	"fmt"
	"html"
	"strings"
)

// drawing is an SVG picture, dark where the reader's pages are.
type drawing struct {
	strings.Builder
}

// Colors of what is no side: they change with the reader's pages.
const (
	ink   = "#111111"
	paper = "#ffffff"
	grid  = "#dddddd"
)

var inTheDark = map[string]string{ink: "#e6edf3", paper: "#0d1117", grid: "#3d444d"}

// style replaces them there.
func style() string {
	var b strings.Builder
	b.WriteString("<style>@media(prefers-color-scheme:dark){")
	for _, c := range []string{ink, paper, grid} {
		fmt.Fprintf(&b, `[fill="%s"]{fill:%s}[stroke="%[1]s"]{stroke:%[2]s}`, c, inTheDark[c])
	}
	return b.String() + "}</style>"
}

func newDrawing(width, height float64, title string) *drawing {
	d := &drawing{}
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" font-family="sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintln(d, style())
	d.rect(0, 0, width, height, paper)
	d.text(12, 22, "start", ink, title, `font-size="15" font-weight="bold"`)
	return d
}

// axis names the vertical axis of a panel.
func (d *drawing) axis(p panel, name string) {
	x, y := p.x-54, p.y+p.height/2
	d.text(x, y, "middle", ink, name, fmt.Sprintf(`transform="rotate(-90 %.1f %.1f)"`, x, y))
}

func (d *drawing) text(x, y float64, anchor, color, text, more string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s" %s>%s</text>`+"\n", x, y, anchor, color, more, html.EscapeString(text))
}

func (d *drawing) line(x1, y1, x2, y2 float64, color, more string) {
	fmt.Fprintf(d, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" %s/>`+"\n", x1, y1, x2, y2, color, more)
}

func (d *drawing) rect(x, y, width, height float64, color string) {
	fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, width, height, color)
}

func (d *drawing) dot(x, y float64, color string, solid bool) {
	fill := color
	if !solid {
		fill = paper
	}
	fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s" stroke="%s" stroke-width="1.5"/>`+"\n", x, y, fill, color)
}

func (d *drawing) end() string { return d.String() + "</svg>\n" }

// colors of the sides, apart also for those who see few, on white and on black.
var colors = map[string]string{
	oursSide: "#1f83c9", librarySide: "#56b4e9", floorSide: ink, cheapSide: "#e69f00", costlySide: "#d55e00",
	wipeSide: "#cc79a7", plainSide: "#009e73", rawSide: "#8f8f8f", layersSide: "#7fc4ee", keyedSide: "#e69f00",
	taggedSide: "#a6761d",
}
