// Command cryptsetup-caller is a program that has run "cryptsetup luksFormat" and
// "luksOpen" until now, as the guest of hcsshim does for the scratch disk of a
// container (internal/guest/storage/crypt, read at 0423eec): the functions keep their
// form, and need no key file, no cryptsetup, and no zeroed first block.
//
//	cryptsetup-caller DEVICE NAME DIR
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/trusted-store/trusted-store/storage"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: cryptsetup-caller DEVICE NAME DIR")
	}
	ctx := context.Background()
	store, err := mountScratch(ctx, os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("scratch space is at", store.MountPoint())
	if err := store.Grown(ctx); err != nil { // it grows as long as this process runs
		log.Fatal(err)
	}
}

// encryptDevice makes a mapping of that name, whose key nobody has, and returns its
// path. The caller makes a filesystem: whatever does that must not read a block that
// was never written, which fails. When it fails, nothing is left.
func encryptDevice(ctx context.Context, source, name string) (path string, err error) {
	store, err := storage.Create(ctx, source, storage.CreateOptions{
		Name: name, MountPoint: storage.NoMount,
		Overwrite: storage.OverwriteAnything, // it is scratch: what it holds is nobody's
	})
	if err != nil {
		return "", err
	}
	return store.Path(), nil
}

// cleanupCryptDevice takes the mapping away, and is content when there is none.
func cleanupCryptDevice(ctx context.Context, name string) error {
	err := storage.Close(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// mountScratch does both steps at once, encryption and filesystem, and mounts it. The
// filesystem reads nothing that was not written. It is small at first, and grows to
// the size of the disk while it is in use.
func mountScratch(ctx context.Context, source, name, dir string) (*storage.Store, error) {
	return storage.Create(ctx, source, storage.CreateOptions{
		Name: name, MountPoint: dir, Overwrite: storage.OverwriteAnything,
	})
}
