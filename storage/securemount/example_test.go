package securemount_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/containerd/ttrpc"

	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/securemount"
)

// A program that serves on a socket of its own.
func Example() {
	ctx, log := context.Background(), slog.Default()
	server := securemount.New(securemount.Options{Logger: log})
	defer server.Close()
	l, err := securemount.Listen(ctx, securemount.DefaultSocket)
	if errors.Is(err, securemount.ErrSocketInUse) {
		log.Error("the guest has such a service")
		return
	}
	if err == nil {
		err = server.Adopt(ctx)
	}
	if err == nil {
		err = securemount.Serve(ctx, l, log, server.Register)
	}
	if err != nil {
		log.Error("no secure mount", "err", err)
	}
}

// An agent adds the services to the server that it has.
func ExampleServer_Register() {
	agent, err := ttrpc.NewServer()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	securemount.New(securemount.Options{MinSize: 1 << 30}).Register(agent)
}

// All that is wrong with a request is said at once.
func ExampleParseRequest() {
	_, err := securemount.ParseRequest(&cdh.SecureMountRequest{
		VolumeType: "block-device",
		Options:    map[string]string{"deviceId": "8:16", "sourceType": "empty", "dataIntegrity": "yes", "jurnal": "off"},
		MountPoint: "/run/kata-containers/image/",
	})
	fmt.Println(err)
	// Output:
	// request refused: dataIntegrity "yes": expected "false" or "true"; option "jurnal": unknown
}
