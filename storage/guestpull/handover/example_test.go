package handover_test

import (
	"errors"
	"fmt"

	"github.com/trusted-store/trusted-store/storage/guestpull/handover"
)

// What an agent does with the root filesystem of a container.
func ExampleFromStorage() {
	pull, err := handover.FromStorage(handover.Storage{
		Driver:        "image_guest_pull",
		DriverOptions: []string{`image_guest_pull={"metadata":{"io.kubernetes.cri.container-type":"container"}}`},
		Source:        "registry.example/large-image:v1",
		FSType:        "overlay",
		MountPoint:    "/run/kata-containers/0123/rootfs",
	})
	switch {
	case errors.Is(err, handover.ErrNone):
		fmt.Println("another kind of storage")
	case err != nil:
		fmt.Println(err)
	case pull.Sandbox():
		fmt.Println("unpack the guest's own pause image")
	default:
		fmt.Println("pull", pull.Image, "to", pull.MountPoint)
	}
	// Output: pull registry.example/large-image:v1 to /run/kata-containers/0123/rootfs
}
