package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// panel is a rectangle of a plot.
type panel struct{ x, y, width, height float64 }

// decades of seconds on the vertical axis of the first plot.
const firstDecade, lastDecade = -3, 6

// height of a number of seconds in a panel.
func (p panel) seconds(v float64) float64 {
	return p.y + p.height - (math.Log10(v)-firstDecade)/(lastDecade-firstDecade)*p.height
}

func (p panel) column(i, n int) float64 { return p.x + (float64(i)+0.5)/float64(n)*p.width }

// plottedSides are in the order of the legend; the first is drawn last, on top.
var plottedSides = []column{{oursSide, "trusted-store create"}, {taggedSide, "the same, tags in memory"}, {floorSide, "bare ioctls: the floor"},
	{cheapSide, "cryptsetup, cheap KDF"}, {costlySide, "cryptsetup, its KDF"}, {wipeSide, "cryptsetup, its KDF, wiped"}, {rawSide, "raw disk"}}

// plotUsable shows the time to usable over the size of the disk, in the beds in
// which it was measured.
func (r *results) plotUsable() string {
	measured := slices.DeleteFunc(slices.Clone(runs), func(run run) bool { return spreadOf(r.of(run.name, "usable", oursSide, 0)).n == 0 })
	d := newDrawing(50+480*float64(max(1, len(measured))), 520, "From a raw disk to a mounted filesystem: seconds, on a log scale (hollow: extrapolated)")
	for i, run := range measured {
		p := panel{90 + 480*float64(i), 60, 390, 330}
		d.text(p.x+p.width/2, p.y-12, "middle", ink, run.title, "")
		d.axes(p)
		for j, s := range slices.Backward(plottedSides) {
			d.curve(p, r, run.name, s.side, 4*(float64(j)-3))
		}
	}
	for i, s := range plottedSides {
		x, y := 60+float64(i%3)*230, 455+float64(i/3)*20
		d.dot(x, y, colors[s.side], true)
		d.text(x+10, y+4, "start", ink, s.title, "")
	}
	return d.end()
}

func (d *drawing) axes(p panel) {
	for decade := firstDecade; decade <= lastDecade; decade++ {
		y := p.seconds(math.Pow10(decade))
		d.line(p.x, y, p.x+p.width, y, grid, "")
		d.text(p.x-6, y+4, "end", ink, strconv.FormatFloat(math.Pow10(decade), 'f', -1, 64), "")
	}
	for i, size := range sizes {
		d.text(p.column(i, len(sizes)), p.y+p.height+18, "middle", ink, bytesText(size), "")
	}
	d.text(p.x+p.width/2, p.y+p.height+36, "middle", ink, "size of the disk", "")
	d.axis(p, "seconds, log scale")
}

// curve draws a side, moved aside a little so that equal ones can be told apart.
func (d *drawing) curve(p panel, r *results, run, side string, aside float64) {
	width := `stroke-width="1.5"`
	if side == oursSide {
		width = `stroke-width="3"`
	}
	var lastX, lastY float64
	for i, size := range sizes {
		c := r.usable(run, side, size)
		if c.n == 0 {
			continue
		}
		x, y := p.column(i, len(sizes))+aside, p.seconds(c.median)
		if lastX > 0 {
			d.line(lastX, lastY, x, y, colors[side], width)
		}
		d.dot(x, y, colors[side], !c.extrapolated)
		lastX, lastY = x, y
	}
}

// plotLoads shows speeds as multiples of trusted-store's.
func (r *results) plotLoads() string {
	d := newDrawing(1080, 420, "Speed as a multiple of trusted-store's: more is faster (thin lines: least and most)")
	for i, run := range runsWith("throughput") {
		p := panel{70 + 340*float64(i), 84, 290, 250}
		d.text(p.x, p.y-30, "start", ink, run.title, `font-size="11"`)
		d.ratios(p, r, run.name)
	}
	for i, s := range loadRows {
		x := 24 + float64(i)*174
		d.rect(x, 388, 12, 12, colors[s.side])
		d.text(x+17, 398, "start", ink, s.title, "")
	}
	return d.end()
}

const mostShown = 4

func (d *drawing) ratios(p panel, r *results, run string) {
	for v := range mostShown + 1 {
		y := p.y + p.height*(1-float64(v)/mostShown)
		d.line(p.x, y, p.x+p.width, y, grid, "")
		d.text(p.x-6, y+4, "end", ink, fmt.Sprint(v), "")
	}
	d.axis(panel{p.x + 20, p.y, p.width, p.height}, "times trusted-store")
	measures := []column{{"write", "write"}, {"read", "read"}, {"small", "small files"}}
	for i, m := range measures {
		base := spreadOf(r.of(run, m.side, oursSide, 0))
		d.text(p.column(i, len(measures)), p.y+p.height+18, "middle", ink, m.title, "")
		for j, s := range loadRows {
			ratio := spreadOf(r.of(run, m.side, s.side, 0)).over(base)
			x := p.column(i, len(measures)) + (float64(j)-3)*13
			d.bar(p, x, 11, ratio, mostShown, colors[s.side])
		}
	}
}

// bar draws one bar with its spread, in a panel whose height means top.
func (d *drawing) bar(p panel, x, width float64, s spread, top float64, color string) {
	if s.n == 0 {
		return
	}
	y := func(v float64) float64 { return p.y + p.height*(1-min(v, top)/top) }
	if s.median > top {
		d.cut(x, p.y, width, s.median, color)
	}
	d.rect(x, y(s.median), width, p.y+p.height-y(s.median), color)
	d.line(x+width/2, y(s.least), x+width/2, y(s.most), ink, `stroke-width="1.5"`)
}

// cut marks a bar that goes on beyond the panel: a tip, and how far it would go.
func (d *drawing) cut(x, y, width, v float64, color string) {
	fmt.Fprintf(d, `<path d="M%.1f %.1fh%.1fl%.1f -7z" fill="%s"/>`+"\n", x, y, width, -width/2, color)
	d.text(x+width/2, y-11, "middle", ink, figure(v)+"×", `font-size="10"`)
}

// plotJournals shows what the journals of a store with a key cost.
func (r *results) plotJournals() string {
	d := newDrawing(660, 330, "The journals' price: time for the same layers, ephemeral = 1")
	p := panel{80, 60, 550, 200}
	const top = 3
	d.axis(p, "time, ephemeral = 1")
	for v := range top + 1 {
		y := p.y + p.height*(1-float64(v)/top)
		d.line(p.x, y, p.x+p.width, y, grid, "")
		d.text(p.x-6, y+4, "end", ink, fmt.Sprint(v), "")
	}
	for i, run := range []run{runs[0], runs[2]} {
		base := spreadOf(r.of(run.name, "layers", oursSide, 0))
		keyed := spreadOf(r.of(run.name, "layers", keyedSide, 0))
		if base.n == 0 || keyed.n == 0 {
			continue
		}
		x := p.column(i, 2)
		d.bar(p, x-60, 50, base.over(base), top, colors[oursSide])
		d.bar(p, x+10, 50, keyed.over(base), top, colors[keyedSide])
		d.text(x-35, p.y+p.height+16, "middle", ink, figure(base.median)+" s", "")
		d.text(x+35, p.y+p.height+16, "middle", ink, figure(keyed.median)+" s", "")
		d.text(x, p.y+p.height+34, "middle", ink, run.title, `font-size="10"`)
	}
	d.rect(50, 308, 12, 12, colors[oursSide])
	d.text(67, 318, "start", ink, "ephemeral: mode D, no journal", "")
	d.rect(300, 308, 12, 12, colors[keyedSide])
	d.text(317, 318, "start", ink, "with a key: mode J, ext4 journal", "")
	return d.end()
}
