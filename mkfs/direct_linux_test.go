package mkfs_test

import (
	"os"

	"golang.org/x/sys/unix"
)

func openDirect(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0) }
