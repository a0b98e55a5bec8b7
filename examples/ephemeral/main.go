// Command ephemeral gives a workload scratch space on a device that nobody else
// can read, and takes it away at the end.
package main

import (
	"context"
	"errors"
	"log"
	"os"

	"github.com/trusted-store/trusted-store/storage"
)

func main() {
	if err := useScratch(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func useScratch(ctx context.Context, device string) (err error) {
	store, err := storage.Create(ctx, device, storage.CreateOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }() // unmounts, removes the mappings, forgets the key
	return os.WriteFile(store.MountPoint()+"/hello", []byte("only this guest can read me\n"), 0o600)
}
