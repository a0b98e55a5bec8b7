package mkfs_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/trusted-store/trusted-store/mkfs"
)

// Format a file, as one would a block device.
func Example() {
	dir, err := os.MkdirTemp("", "mkfs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file, err := os.Create(filepath.Join(dir, "image"))
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()

	const size = 64 << 20
	if err := file.Truncate(size); err != nil {
		log.Fatal(err)
	}
	layout, err := mkfs.Format(context.Background(), file, size, mkfs.Options{Label: "scratch"})
	if err != nil {
		log.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(layout.Blocks, "blocks,", layout.Inodes, "inodes,", layout.MetadataBytes, "bytes written")
	// Output: 16384 blocks, 4096 inodes, 1089536 bytes written
}

// A seed for a device of 1 TiB: small enough to be written in no time, and able to grow to all of it.
func ExamplePlan() {
	layout, err := mkfs.Plan(1<<40, mkfs.Options{Size: 512 << 20, GrowTo: 1 << 40})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(layout.Size()>>20, "MiB,", layout.MetadataBytes, "bytes to write")
	fmt.Println(layout.DescriptorBlocks, "descriptor block,", layout.ReservedDescriptorBlocks, "in reserve")
	// Output:
	// 512 MiB, 3739648 bytes to write
	// 1 descriptor block, 127 in reserve
}
