package main

import (
	"fmt"
	"html"
	"strings"
)

// drawing is an SVG picture on white.
type drawing struct {
	strings.Builder
}

func newDrawing(width, height float64, title string) *drawing {
	d := &drawing{}
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" font-family="sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintf(d, `<rect width="%g" height="%g" fill="white"/>`+"\n", width, height)
	d.text(12, 22, "start", "black", title, `font-size="15" font-weight="bold"`)
	return d
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
		fill = "white"
	}
	fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s" stroke="%s" stroke-width="1.5"/>`+"\n", x, y, fill, color)
}

func (d *drawing) end() string { return d.String() + "</svg>\n" }

// colors of the sides, apart also for those who see few.
var colors = map[string]string{
	oursSide: "#0072b2", librarySide: "#56b4e9", floorSide: "#000000", cheapSide: "#e69f00", costlySide: "#d55e00",
	wipeSide: "#cc79a7", plainSide: "#009e73", rawSide: "#999999", layersSide: "#56b4e9", keyedSide: "#e69f00",
	taggedSide: "#8c510a",
}
