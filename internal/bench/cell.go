package main

import "fmt"

// cell is one place of a table: what was measured, or what follows from it.
type cell struct {
	spread
	extrapolated bool
}

// String marks what was not run.
func (c cell) String() string {
	if c.extrapolated && c.n > 0 {
		return "≈ " + figure(c.median)
	}
	return c.spread.String()
}

// scale returns the cell times a factor, as an extrapolation.
func (c cell) scale(factor float64) cell {
	return cell{spread{c.median * factor, c.least * factor, c.most * factor, c.n}, true}
}

var sizes = []uint64{256 << 20, workSize, bigSize, 1 << 40, 15 << 40}

// usable is the time to usable. What was not run of the sides that write to the
// whole disk is extrapolated from the largest disk that was: their time grows
// with its size.
func (r *results) usable(run, side string, size uint64) cell {
	if s := spreadOf(r.of(run, "usable", side, size)); s.n > 0 {
		return cell{spread: s}
	}
	switch side {
	case cheapSide, wipeSide:
		return r.fromLargest(run, side, size)
	case costlySide:
		// What its key derivation takes does not depend on the size.
		costly, cheap := r.of(run, "usable", costlySide, workSize), r.of(run, "usable", cheapSide, workSize)
		base := r.usable(run, cheapSide, size)
		if len(costly) == 0 || len(cheap) == 0 || base.n == 0 {
			return cell{}
		}
		kdf := spreadOf(costly).median - spreadOf(cheap).median
		return cell{spread{base.median + kdf, base.least + kdf, base.most + kdf, 1}, true}
	}
	return cell{}
}

func (r *results) fromLargest(run, side string, size uint64) cell {
	for i := len(sizes) - 1; i >= 0; i-- {
		if s := spreadOf(r.of(run, "usable", side, sizes[i])); s.n > 0 {
			if sizes[i] > size || side == cheapSide && sizes[i] < workSize { // there its fixed costs count
				return cell{}
			}
			return cell{spread: s}.scale(float64(size) / float64(sizes[i]))
		}
	}
	return cell{}
}

// full is the time to the full size.
func (r *results) full(run, side string, size uint64) cell {
	if side == oursSide {
		return cell{spread: spreadOf(r.of(run, "full", side, size))}
	}
	return r.usable(run, side, size)
}

// times prints how many times a is b.
func times(a, b cell) string {
	if a.n == 0 || b.n == 0 {
		return "–"
	}
	ratio := cell{a.over(b.spread), a.extrapolated || b.extrapolated}
	return fmt.Sprintf("%v×", ratio)
}
