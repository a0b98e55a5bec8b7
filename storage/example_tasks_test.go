package storage_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/trusted-store/trusted-store/storage"
)

// Something large is to be written, so the program waits until there is room for
// it; the rest goes on growing in the background.
func ExampleGrow() {
	err := storage.Grow(context.Background(), storage.DefaultMountPoint, storage.GrowOptions{
		Size:   8 << 30, // 0: all of the device
		Follow: true,    // what grows it already does the work
		Progress: func(p storage.Progress) {
			if p.Step == storage.StepGrow {
				fmt.Printf("%d of %d MiB\n", p.Done>>20, p.Total>>20)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}

// The tags of the blocks are in the guest's memory, so the host cannot put old
// blocks back either.
func ExampleCreate_freshness() {
	opts := storage.CreateOptions{Tags: storage.TagOptions{Place: storage.TagsInMemory, MemoryLimit: 256 << 20}}
	budget, err := storage.PlanTags("/dev/vdb", opts)
	if err != nil {
		log.Fatal(err)
	}
	if !budget.Enough() {
		fmt.Println("memory for no more than", budget.Covered, "bytes of", budget.Device)
		opts.Tags.Short = storage.ShrinkStore
	}
	store, err := storage.Create(context.Background(), "/dev/vdb", opts)
	if err != nil {
		log.Fatal(err)
	}
	defer closeStore(store)
}

// What is live, whoever made it.
func ExampleList() {
	list, err := storage.List(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range list {
		fmt.Println(s.Name, s.State, s.Problems)
	}
}

// A store that another process made, and left open, is closed by its directory.
func ExampleClose() {
	err := storage.Close(context.Background(), storage.DefaultMountPoint)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		fmt.Println("no store is mounted there")
	case errors.Is(err, storage.ErrBusy):
		fmt.Println("a file in it is open")
	case err != nil:
		log.Fatal(err)
	}
}

// Every block that is in use is read, and so authenticated.
func ExampleVerify() {
	found, err := storage.Verify(context.Background(), storage.DefaultMountPoint, storage.VerifyOptions{})
	if found != nil {
		for _, u := range found.Unreadable {
			fmt.Println(u.Sectors, "sectors at", u.Sector, "cannot be read:", u.Cause)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
}

// The device became larger under a store that is in use.
func ExampleResize() {
	key, err := storage.ReadKey(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Wipe()
	if err := storage.Resize(context.Background(), storage.DefaultMountPoint, key, storage.ResizeOptions{}); err != nil {
		log.Fatal(err)
	}
}

// A key is replaced: the new one is added before the old one goes.
func ExampleAddKey() {
	ctx := context.Background()
	var keys [2]*storage.Key
	for i, file := range []string{"file:/run/keys/old", "file:/run/keys/new"} {
		source, err := storage.ParseKeySource(file)
		if err != nil {
			log.Fatal(err)
		}
		if keys[i], err = source.Load(ctx, nil); err != nil {
			log.Fatal(err)
		}
		defer keys[i].Wipe()
	}
	added, err := storage.AddKey(ctx, "/dev/vdb", keys[0], keys[1], storage.KeyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("the new key has slot %d, the header is %x\n", added.Slot, added.Header)
	pinned := storage.KeyOptions{ExpectHeader: added.Header} // not another one that the host puts there
	if _, err := storage.RemoveKey(ctx, "/dev/vdb", 0, keys[1], pinned); err != nil {
		log.Fatal(err)
	}
}

// A file that holds no volume is judged like a device, without root.
func ExampleInspect() {
	f, err := os.CreateTemp("", "blank")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(f.Truncate(64<<20), f.Close()); err != nil {
		log.Fatal(err)
	}
	found, err := storage.Inspect(f.Name(), storage.InspectOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Accepted(), found.Header.Violations[0])
	// Output: false header.none: no LUKS magic at byte 0 and at byte 16384
}

// A failure says what a program can decide on, and what a person can do.
func ExampleError() {
	_, err := storage.Inspect("/dev/absent", storage.InspectOptions{})
	var failed *storage.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Op, failed.What, errors.Is(err, storage.ErrInvalid))
	}
	// Output: inspect /dev/absent true
}
