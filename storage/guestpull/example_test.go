package guestpull_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// A guest's agent makes a store of the device that it was given, and pulls a
// container's image onto it.
func Example() {
	ctx := context.Background()
	store, err := storage.Create(ctx, "/dev/trusted_store", storage.CreateOptions{})
	if err != nil {
		log.Fatal(err)
	}
	images := guestpull.New(store.MountPoint(), guestpull.Options{AuthFile: "/run/registry/config.json"})
	image, err := images.Pull(ctx, "registry.example/app:1", guestpull.PullOptions{Bundle: "/run/kata-containers/app"})
	switch {
	case errors.Is(err, guestpull.ErrRejected):
		log.Fatal("the image is not what it says it is: ", err)
	case errors.Is(err, guestpull.ErrNoRoom):
		log.Fatal("ask for a larger device: ", err)
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println("the root filesystem is at", image.RootFS)
}
