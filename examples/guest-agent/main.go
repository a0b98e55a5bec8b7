// Command guest-agent does what the agent of a confidential guest does before it
// pulls an image: it looks into the container's specification for the device that
// is meant to hold images, asks the secure-mount service for a store on it, and
// says where images can go.
//
//	guest-agent SPEC SOCKET
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/securemount"
)

// timeout is how long Kata's agent waits.
const timeout = 50 * time.Second

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: guest-agent SPEC SOCKET")
	}
	where, err := prepareImages(context.Background(), os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("images go to", where)
}

// prepareImages returns the directory that images are pulled to: the guest's memory
// where the container names no device.
func prepareImages(ctx context.Context, specFile, socket string) (string, error) {
	spec, err := readSpec(specFile)
	if err != nil {
		return "", err
	}
	device, found, err := securemount.FindDevice(spec)
	switch {
	case err != nil:
		return "", err
	case !found:
		return "memory", nil
	}
	integrity, err := securemount.KernelIntegrity()
	if err != nil {
		return "", err
	}
	return securemount.ImageStore, mountImageStore(ctx, socket, device, integrity)
}

func readSpec(file string) (*specs.Spec, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	spec := &specs.Spec{}
	if err := json.Unmarshal(text, spec); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return spec, nil
}

func mountImageStore(ctx context.Context, socket, device string, integrity bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	client := ttrpc.NewClient(conn)
	defer client.Close()
	_, err = cdh.NewSecureMountServiceClient(client).SecureMount(ctx, &cdh.SecureMountRequest{
		VolumeType: "block-device",
		Options: map[string]string{
			"deviceId":       device,
			"sourceType":     "empty", // the agent's statement to format
			"targetType":     "fileSystem",
			"filesystemType": "ext4",
			"mkfsOpts":       "-E lazy_journal_init",
			"encryptionType": "luks2",
			"dataIntegrity":  strconv.FormatBool(integrity),
		},
		MountPoint: securemount.ImageStore,
	})
	return err
}
