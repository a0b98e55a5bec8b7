// Command demo shows the main job on real input: a raw block device becomes a
// mounted trusted store, 2.15 GB of container layers go in, everything is looked
// at with the tools that people know, and taken away again. `make demo` runs it
// in a guest with a kernel of its own; with root and device-mapper it also runs
// as it is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
)

func main() {
	dir := flag.String("dir", "/run/host", "where the 2500 MiB sparse file is made")
	disk := flag.String("disk", os.Getenv("TRUSTED_STORE_DISKS"), "device to format and mount there first, as the host's own disk")
	size := flag.Int64("layers", 2_150_000_000, "bytes of layers to write")
	flag.Parse()
	if err := demonstrate(*dir, *disk, *size); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demonstrate(dir, disk string, size int64) error {
	if disk == "" {
		return onDirectory(dir, size)
	}
	if err := mountHostDisk(disk, dir); err != nil {
		return err
	}
	return errors.Join(onDirectory(dir, size), unix.Unmount(dir, 0))
}

func onDirectory(dir string, size int64) error {
	d := &demo{file: filepath.Join(dir, "trusted-image-storage"), layers: size}
	return errors.Join(d.run(), os.Remove(d.file))
}

// mountHostDisk plays the host's own disk, on which the file of the volume lies.
func mountHostDisk(disk, dir string) error {
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = mkfs.Format(context.Background(), f, uint64(size), mkfs.Options{})
	}
	if err := errors.Join(err, f.Close(), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	return unix.Mount(disk, dir, "ext4", 0, "")
}

const mountPoint = "/run/kata-containers/image"

type demo struct {
	file   string
	device string
	layers int64
}

func (d *demo) run() error {
	say("On the host: a sparse file becomes a block device.")
	if err := show("trusted-store", "volume", "create", d.file, "--size", "2500MiB"); err != nil {
		return err
	}
	out, err := exec.Command("trusted-store", "volume", "attach", d.file).Output()
	if err != nil {
		return fmt.Errorf("trusted-store volume attach: %w", err)
	}
	d.device = strings.TrimSpace(string(out))
	fmt.Printf("$ trusted-store volume attach %s\n%s\n", d.file, d.device)
	return errors.Join(d.authenticated(), d.fresh(), d.encryptedOnly(), show("trusted-store", "volume", "detach", d.device))
}

// authenticated is the main job.
func (d *demo) authenticated() error {
	say("In the guest: the device becomes a mounted store. Its key is in this kernel's memory only.")
	if err := show("trusted-store", "create", d.device); err != nil {
		return err
	}
	say("What other tools see of it:")
	if err := d.look(); err != nil {
		return errors.Join(err, closeStore())
	}
	say(fmt.Sprintf("Container layers of %.2f GB go in:", float64(d.layers)/1e9))
	memory, before := available(), time.Now()
	if err := fill(mountPoint, d.layers); err != nil {
		return errors.Join(err, closeStore())
	}
	took := time.Since(before)
	if eaten := memory - available(); eaten > 256<<20 {
		return errors.Join(fmt.Errorf("the data took %d MiB of memory", eaten>>20), closeStore())
	}
	fmt.Printf("written in %.1f s, %.0f MB/s\n", took.Seconds(), float64(d.layers)/1e6/took.Seconds())
	err := errors.Join(
		show("du", "-h", "--max-depth=1", mountPoint),
		show("df", "-h", mountPoint),
		show("free", "-m"),
		show("trusted-store", "status", mountPoint),
	)
	if err := errors.Join(err, closeStore()); err != nil {
		return err
	}
	return nothingLeft()
}

// fresh shows a store that detects old blocks, too.
func (d *demo) fresh() error {
	say("The same with the tags of its blocks in the guest's memory, where the host cannot put back old ones:")
	if err := show("trusted-store", "create", d.device, "--tags", "memory"); err != nil {
		return err
	}
	if err := errors.Join(show("lsblk", "--fs", d.device), closeStore()); err != nil {
		return err
	}
	return nothingLeft()
}

// encryptedOnly shows the how-to's own figures: offset 32768, size 5087232.
func (d *demo) encryptedOnly() error {
	say("The same without integrity:")
	if err := show("trusted-store", "create", d.device, "--integrity", "none"); err != nil {
		return err
	}
	if err := errors.Join(d.look(), closeStore()); err != nil {
		return err
	}
	return nothingLeft()
}

// available is the machine's memory that is not in use, in bytes.
func available() (bytes int64) {
	text, _ := os.ReadFile("/proc/meminfo") // without it nothing has been eaten
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	_, _ = fmt.Sscan(rest, &bytes)
	return bytes << 10
}

func (d *demo) look() error {
	return errors.Join(
		show("lsblk", "--fs", d.device),
		show("cryptsetup", "status", mappingName()),
		pipe("mount | grep encrypted_disk"),
	)
}

// mappingName returns the name of the only store.
func mappingName() string {
	nodes, _ := filepath.Glob("/dev/mapper/encrypted_disk_?????") // the pattern is right
	if len(nodes) == 0 {
		return "none"
	}
	return filepath.Base(nodes[0])
}

func closeStore() error {
	say("Close takes everything away:")
	return show("trusted-store", "close", mountPoint)
}

func nothingLeft() error {
	if err := errors.Join(show("trusted-store", "status"), show("dmsetup", "ls")); err != nil {
		return err
	}
	left, err := filepath.Glob("/dev/mapper/encrypted_disk_*")
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left behind: %v", left)
	}
	return err
}

func say(text string) { fmt.Printf("\n# %s\n", text) }

func show(name string, args ...string) error {
	fmt.Println("$", name, strings.Join(args, " "))
	return run(exec.Command(name, args...))
}

func pipe(line string) error {
	fmt.Println("$", line)
	return run(exec.Command("sh", "-c", line))
}

func run(c *exec.Cmd) error {
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(c.Args, " "), err)
	}
	return nil
}
