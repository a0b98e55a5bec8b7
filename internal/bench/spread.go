package main

import (
	"fmt"
	"math"
	"slices"
)

// spread is what repetitions of one measurement gave.
type spread struct {
	median, least, most float64
	n                   int
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	middle := v[len(v)/2]
	if len(v)%2 == 0 {
		middle = (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	return spread{middle, v[0], v[len(v)-1], len(v)}
}

// over divides by the median of another spread.
func (s spread) over(base spread) spread {
	if base.n == 0 || base.median == 0 {
		return spread{}
	}
	return spread{s.median / base.median, s.least / base.median, s.most / base.median, s.n}
}

// String prints "median (least–most)", the median alone when there is one value
// or all look alike, and a dash for none.
func (s spread) String() string {
	if s.n == 0 {
		return "–"
	}
	middle, least, most := figure(s.median), figure(s.least), figure(s.most)
	if least == most {
		return middle
	}
	return fmt.Sprintf("%s (%s–%s)", middle, least, most)
}

// figure prints three significant digits, and all digits before the point.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// bytesText prints a size with the largest unit that leaves it whole.
func bytesText(n uint64) string {
	for _, unit := range []struct {
		shift uint
		name  string
	}{{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n>>unit.shift > 0 && n&(1<<unit.shift-1) == 0 {
			return fmt.Sprintf("%d %s", n>>unit.shift, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
