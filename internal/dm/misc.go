package dm

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const miscMajor = 10

// miscNumber looks up the minor of a misc device in /proc/misc.
func miscNumber(name string) (Device, bool, error) {
	f, err := os.Open("/proc/misc")
	if err != nil {
		return Device{}, false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 2 || fields[1] != name {
			continue
		}
		minor, err := strconv.ParseUint(fields[0], 10, 32)
		return Device{miscMajor, uint32(minor)}, err == nil, err
	}
	return Device{}, false, lines.Err()
}

// makeControl puts a node of this number at /dev/mapper/control. Another
// program may do so at the same time.
func makeControl(number Device) error {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return err
	}
	if err := clearStaleControl(number); err != nil {
		return err
	}
	err := unix.Mknod(controlNode, unix.S_IFCHR|0o600, int(number.rdev()))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make %s: %w", controlNode, err)
	}
	return nil
}

func clearStaleControl(number Device) error {
	var stat unix.Stat_t
	err := unix.Lstat(controlNode, &stat)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFCHR {
		return fmt.Errorf("%w: %s is in the way, a character device belongs there", ErrNoNode, controlNode)
	}
	if fromRdev(uint64(stat.Rdev)) == number {
		return nil
	}
	return os.Remove(controlNode)
}
