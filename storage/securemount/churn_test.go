package securemount

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Stores that come and go do not disturb requests for others.
func TestStoresComeAndGo(t *testing.T) {
	s := serve(t, Options{})
	dir := t.TempDir()
	var group errgroup.Group
	for i := range 4 {
		req := request(t, storagetest.Disk(t, small), filepath.Join(dir, fmt.Sprint(i)))
		client := dial(t, s.socket)
		group.Go(func() error {
			for range 6 {
				if _, err := cdh.NewSecureMountServiceClient(client).SecureMount(t.Context(), req); err != nil {
					return fmt.Errorf("mount: %w", err)
				}
				if _, err := stores.NewStoresClient(client).List(t.Context(), &stores.ListRequest{}); err != nil {
					return fmt.Errorf("list: %w", err)
				}
				if _, err := stores.NewStoresClient(client).Unmount(t.Context(), &stores.UnmountRequest{Store: req.MountPoint}); err != nil {
					return fmt.Errorf("unmount: %w", err)
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
}
