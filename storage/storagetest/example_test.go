package storagetest_test

import (
	"os"
	"testing"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// A test of something that must notice when the host changes a block.
func Example() {
	_ = func(t *testing.T) {
		storagetest.Kernel(t)     // skips the test on machines that must not be touched
		storagetest.CheckLeaks(t) // fails it when something is left behind
		disk := storagetest.Disk(t, 64<<20)
		before := storagetest.TakeSnapshot(t, disk, 0, 0)

		storagetest.FlipBit(t, disk, 4096)
		// … what is on the disk must not be accepted now …

		before.Replay(t)
		// … and neither must what is old …
	}
	// Output:
}

// A disk that fails in one place, and heals.
func ExampleFaulty() {
	_ = func(t *testing.T) {
		storagetest.Kernel(t, "flakey")
		disk := storagetest.NewFaulty(t, storagetest.Disk(t, 64<<20))
		disk.Set(t, storagetest.Fault{Offset: 1 << 20, Length: 4096, Kind: storagetest.FailWrites})
		f, err := os.OpenFile(disk.Path(), os.O_RDWR, 0)
		// …
		disk.Set(t)
		_, _ = f, err
	}
	// Output:
}
