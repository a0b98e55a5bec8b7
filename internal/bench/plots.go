package main

import (
	"fmt"
	"math"
	"slices"
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

var plottedSides = []column{{wipeSide, "cryptsetup, wiped"}, {costlySide, "cryptsetup, its KDF"}, {cheapSide, "cryptsetup, cheap KDF"},
	{oursSide, "trusted-store"}, {taggedSide, "tags in memory"}, {floorSide, "bare ioctls"}, {rawSide, "raw disk"}}

// plotUsable shows the time to usable over the size of the disk, in the beds in
// which it was measured.
func (r *results) plotUsable() string {
	measured := slices.DeleteFunc(slices.Clone(runs), func(run run) bool { return spreadOf(r.of(run.name, "usable", oursSide, 0)).n == 0 })
	d := newDrawing(90+480*float64(max(1, len(measured))), 500, "Seconds to a mounted filesystem (hollow: extrapolated)")
	for i, run := range measured {
		p := panel{70 + 480*float64(i), 60, 400, 330}
		d.text(p.x+p.width/2, p.y-12, "middle", "black", run.title, "")
		d.axes(p)
		for _, s := range plottedSides {
			d.curve(p, r, run.name, s.side)
		}
	}
	for i, s := range plottedSides {
		x, y := 40+float64(i%3)*180, 440+float64(i/3)*20
		d.dot(x, y, colors[s.side], true)
		d.text(x+10, y+4, "start", "black", s.title, "")
	}
	return d.end()
}

func (d *drawing) axes(p panel) {
	for decade := firstDecade; decade <= lastDecade; decade++ {
		y := p.seconds(math.Pow10(decade))
		d.line(p.x, y, p.x+p.width, y, "#dddddd", "")
		d.text(p.x-6, y+4, "end", "black", fmt.Sprintf("%g", math.Pow10(decade)), "")
	}
	for i, size := range sizes {
		d.text(p.column(i, len(sizes)), p.y+p.height+18, "middle", "black", bytesText(size), "")
	}
}

func (d *drawing) curve(p panel, r *results, run, side string) {
	var lastX, lastY float64
	for i, size := range sizes {
		c := r.usable(run, side, size)
		if c.n == 0 {
			continue
		}
		x, y := p.column(i, len(sizes)), p.seconds(c.median)
		if lastX > 0 {
			d.line(lastX, lastY, x, y, colors[side], `stroke-width="2"`)
		}
		d.dot(x, y, colors[side], !c.extrapolated)
		lastX, lastY = x, y
	}
}

// plotLoads shows speeds as multiples of trusted-store's.
func (r *results) plotLoads() string {
	d := newDrawing(1040, 400, "Speed, trusted-store = 1 (bars end at 4; lines: least and most)")
	for i, run := range runsWith("throughput") {
		p := panel{40 + 310*float64(i), 70, 280, 250}
		d.text(p.x, p.y-14, "start", "black", run.title, `font-size="10"`)
		d.ratios(p, r, run.name)
	}
	for i, s := range loadRows {
		x := 40 + float64(i)*168
		d.rect(x, 365, 12, 12, colors[s.side])
		d.text(x+17, 375, "start", "black", s.title, "")
	}
	return d.end()
}

const mostShown = 4

func (d *drawing) ratios(p panel, r *results, run string) {
	for v := range mostShown + 1 {
		y := p.y + p.height*(1-float64(v)/mostShown)
		d.line(p.x, y, p.x+p.width, y, "#dddddd", "")
		d.text(p.x-6, y+4, "end", "black", fmt.Sprint(v), "")
	}
	measures := []column{{"write", "write"}, {"read", "read"}, {"small", "small files"}}
	for i, m := range measures {
		base := spreadOf(r.of(run, m.side, oursSide, 0))
		d.text(p.column(i, len(measures)), p.y+p.height+18, "middle", "black", m.title, "")
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
	d.rect(x, y(s.median), width, p.y+p.height-y(s.median), color)
	d.line(x+width/2, y(s.least), x+width/2, y(s.most), "black", `stroke-width="1.5"`)
}

// plotJournals shows what the journals of a store with a key cost.
func (r *results) plotJournals() string {
	d := newDrawing(620, 330, "The journals' price: time for the same layers, ephemeral = 1")
	p := panel{50, 60, 540, 200}
	const top = 3
	for v := range top + 1 {
		y := p.y + p.height*(1-float64(v)/top)
		d.line(p.x, y, p.x+p.width, y, "#dddddd", "")
		d.text(p.x-6, y+4, "end", "black", fmt.Sprint(v), "")
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
		d.text(x-35, p.y+p.height+16, "middle", "black", figure(base.median)+" s", "")
		d.text(x+35, p.y+p.height+16, "middle", "black", figure(keyed.median)+" s", "")
		d.text(x, p.y+p.height+34, "middle", "black", run.title, `font-size="10"`)
	}
	d.rect(50, 308, 12, 12, colors[oursSide])
	d.text(67, 318, "start", "black", "ephemeral: mode D, no journal", "")
	d.rect(300, 308, 12, 12, colors[keyedSide])
	d.text(317, 318, "start", "black", "with a key: mode J, ext4 journal", "")
	return d.end()
}
