package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// openChannel opens the guest's end of the channel: a terminal device by path,
// or a virtio port by name.
func openChannel(name string) (*os.File, error) {
	if strings.HasPrefix(name, "/") {
		return openRaw(name)
	}
	path, err := findPort("/sys/class/virtio-ports", name, deviceWait)
	if err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

// openRaw opens a terminal and turns off everything that changes bytes.
func openRaw(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err == nil {
		makeRaw(t)
		err = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("make %s a raw channel: %w", path, err)
	}
	return f, nil
}

// makeRaw is cfmakeraw of the C library.
func makeRaw(t *unix.Termios) {
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB
	t.Cflag |= unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
}

// deviceWait bounds how long a device may take to appear after its driver did.
const deviceWait = 20 * time.Second

// findPort waits for the virtio port of that name and returns its device.
func findPort(class, name string, wait time.Duration) (string, error) {
	return findDevice(class, "name", name, wait)
}

// findDisks returns the devices of disks, each named by its device or its serial
// number.
func findDisks(disks []string) ([]string, error) {
	var devices []string
	for _, d := range disks {
		if !filepath.IsAbs(d) {
			var err error
			if d, err = findDisk("/sys/block", d, deviceWait); err != nil {
				return nil, err
			}
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// findDisk waits for the disk with that serial number and returns its device.
func findDisk(class, serial string, wait time.Duration) (string, error) {
	return findDevice(class, "serial", serial, wait)
}

// findDevice waits for the device with that value of an attribute.
func findDevice(class, attribute, value string, wait time.Duration) (string, error) {
	for end := time.Now().Add(wait); ; time.Sleep(5 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(class, "*", attribute))
		if err != nil {
			return "", err
		}
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(text)) == value {
				return filepath.Join("/dev", filepath.Base(filepath.Dir(f))), nil
			}
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("no device with the %s %s appeared in %s within %s", attribute, value, class, wait)
		}
	}
}
