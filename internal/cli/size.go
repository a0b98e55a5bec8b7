package cli

import (
	"errors"
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
)

// Size is a flag: a number of bytes, as in 2500MiB.
type Size uint64

// String is exact: 2500MiB, not 2.4 GiB. Without a size it is 0, which help does not
// show as a default.
func (s *Size) String() string {
	if *s == 0 {
		return "0"
	}
	v, unit := uint64(*s), 0
	for ; v%1024 == 0 && unit < len(sizeUnits)-1; unit++ {
		v /= 1024
	}
	return strconv.FormatUint(v, 10) + sizeUnits[unit]
}

var sizeUnits = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}

// Type names the value in the help.
func (s *Size) Type() string { return "SIZE" }

// Set parses what a person writes.
func (s *Size) Set(text string) error {
	v, err := humanize.ParseBytes(text)
	if err != nil || v > math.MaxInt64 {
		return errors.New("a size is a number and a unit, as in 2500MiB")
	}
	*s = Size(v)
	return nil
}
