package stores

import (
	"context"
	"net"

	"github.com/containerd/ttrpc"
)

// Client is a connection to a service, for several callers at once.
//
//	client, err := stores.Dial(ctx, "/run/confidential-containers/cdh.sock")
//	…
//	defer client.Close()
//	volume, err := client.OpenVolume(ctx, &stores.OpenVolumeRequest{
//		Device: "/dev/vdb", Contents: stores.Contents_CONTENTS_NONE, MountPoint: "/mnt/scratch",
//	})
//
// Errors are those of package status (google.golang.org/grpc), with a code to decide
// on.
type Client struct {
	StoresClient
	ImagesClient
	client *ttrpc.Client
}

// Dial connects to the Unix socket of a service. It needs the rights of the service,
// which are root's.
func Dial(ctx context.Context, socket string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	c := ttrpc.NewClient(conn)
	return &Client{NewStoresClient(c), NewImagesClient(c), c}, nil
}

// Close ends the connection, and with it the requests under way.
func (c *Client) Close() error { return c.client.Close() }
