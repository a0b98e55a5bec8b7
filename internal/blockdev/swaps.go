package blockdev

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// SwapArea is a device that the kernel swaps to, as /proc/swaps has it.
type SwapArea struct {
	Name     string // of the device, as whoever switched it on spelled it
	Bytes    uint64 // without its header
	Used     uint64 // bytes
	Priority int
}

// SwapOn returns the swap area on a device; nil when the kernel does not swap to it.
func SwapOn(number dm.Device) (*SwapArea, error) {
	text, err := os.ReadFile("/proc/swaps")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel without swap
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if area, ok := parseSwap(line); ok && is(area.Name, number) {
			return &area, nil
		}
	}
	return nil, nil
}

// parseSwap understands a line about a device: name, type, size and use in KiB,
// priority.
func parseSwap(line string) (a SwapArea, ok bool) {
	fields := strings.Fields(line)
	if len(fields) != 5 || fields[1] != "partition" {
		return a, false
	}
	size, sizeErr := strconv.ParseUint(fields[2], 10, 54)
	used, usedErr := strconv.ParseUint(fields[3], 10, 54)
	priority, err := strconv.Atoi(fields[4])
	return SwapArea{unescape(fields[0]), size << 10, used << 10, priority}, errors.Join(sizeErr, usedErr, err) == nil
}
