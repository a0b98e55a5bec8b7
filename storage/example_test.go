package storage_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/trusted-store/trusted-store/storage"
)

// A store that lives as long as the guest: its key is nowhere but in this
// kernel's memory.
func Example() {
	ctx := context.Background()
	store, err := storage.Create(ctx, "/dev/vdb", storage.CreateOptions{MountPoint: "/run/store"})
	if err != nil {
		log.Fatal(err)
	}
	defer closeStore(store)
	err = os.WriteFile(filepath.Join(store.MountPoint(), "hello"), []byte("only this guest can read me\n"), 0o600)
	status, statusErr := store.Status(ctx)
	if err := errors.Join(err, statusErr); err != nil {
		log.Print(err)
		return
	}
	fmt.Println(status.State, status.Promises, "integrity errors:", status.IntegrityErrors)
}

// closeStore unmounts, removes the mappings and forgets the key.
func closeStore(store *storage.Store) {
	if err := store.Close(); err != nil {
		log.Print(err)
	}
}

// A persistent volume is made with a key, and Open finds it again.
func ExampleCreate_persistent() {
	source, err := storage.ParseKeySource("file:/run/keys/volume")
	if err != nil {
		log.Fatal(err)
	}
	key, err := source.Load(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Wipe()
	store, err := storage.Create(context.Background(), "/dev/vdb", storage.CreateOptions{Key: key})
	switch {
	case errors.Is(err, storage.ErrNotBlank):
		log.Fatal("there is something on it: ", err)
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println("the volume is", store.UUID(), "and ExpectUUID will know it again")
}

// Whatever goes wrong, an Open that fails has not changed the volume.
func ExampleOpen() {
	key, err := storage.ReadKey(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Wipe()
	store, err := storage.Open(context.Background(), "/dev/vdb", key, storage.OpenOptions{})
	switch {
	case errors.Is(err, storage.ErrWrongKey):
		log.Fatal("another key, please")
	case errors.Is(err, storage.ErrHeaderRejected):
		log.Fatal("the host gave us a volume that is not ours, or changed it: ", err)
	case err != nil:
		log.Fatal(err)
	}
	defer closeStore(store)
	fmt.Println(os.ReadDir(store.MountPoint()))
}

func ExampleParseKeySource() {
	for _, s := range []string{"file:/run/keys/volume", "fd:3", "-", "open sesame"} {
		_, err := storage.ParseKeySource(s)
		fmt.Println(err == nil, errors.Is(err, storage.ErrInvalid))
	}
	// Output:
	// true false
	// true false
	// true false
	// false true
}

// A key never shows what it holds.
func ExampleKey() {
	key, err := storage.NewKey([]byte("open sesame"))
	if err != nil {
		log.Fatal(err)
	}
	defer key.Wipe()
	fmt.Printf("%v %s %x\n", key, key, key)
	// Output: [redacted] [redacted] [redacted]
}
