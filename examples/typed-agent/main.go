// Command typed-agent is an agent that is free in its choice of protocol: it asks for
// a scratch store with types instead of a map of strings, uses it, follows what
// becomes of it, and has it taken away.
//
//	typed-agent SOCKET DEVICE DIR
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: typed-agent SOCKET DEVICE DIR")
	}
	ctx := context.Background()
	client, err := stores.Dial(ctx, os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := work(ctx, client, os.Args[2], os.Args[3], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// work does what the agent is for on a store that is there for it alone.
func work(ctx context.Context, client *stores.Client, device, dir string, out io.Writer) (err error) {
	opened, err := client.OpenVolume(ctx, &stores.OpenVolumeRequest{
		Device: device, Contents: stores.Contents_CONTENTS_NONE, MountPoint: dir,
		// The request may be sent again, when its answer was lost, and formats once.
		IdempotencyKey: "typed-agent-" + device,
	})
	if err != nil {
		return err
	}
	name := opened.GetStore().GetName()
	ctx, stop := context.WithCancel(ctx)
	defer stop() // before the end of the events is waited for: see below
	events, err := client.WatchVolume(ctx, &stores.WatchVolumeRequest{Store: name})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "result"), []byte("only this guest can read me\n"), 0o600)
	}
	_, closeErr := client.CloseVolume(ctx, &stores.CloseVolumeRequest{Store: name})
	if err := errors.Join(err, closeErr); err != nil {
		return err
	}
	return follow(events, out)
}

// follow prints events until the store is closed. Another one may tell that blocks of
// the store could not be authenticated, or that its device is gone.
func follow(events stores.Stores_WatchVolumeClient, out io.Writer) error {
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(out, event.GetKind(), event.GetStore().GetName())
	}
}
