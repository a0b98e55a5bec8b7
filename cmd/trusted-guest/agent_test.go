package main

import (
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/securemount"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// hub is what else a guest has: it knows resources and secrets, and writes down what
// it is asked.
type hub struct {
	mu    sync.Mutex
	asked []string
}

func (h *hub) note(what string, ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	end, _ := ctx.Deadline()
	if left := time.Until(end); left > agentTimeout || left < agentTimeout-40*time.Second {
		what += " with another deadline: " + left.String()
	}
	h.asked = append(h.asked, what)
}

func (h *hub) GetResource(ctx context.Context, r *cdh.GetResourceRequest) (*cdh.GetResourceResponse, error) {
	h.note(r.ResourcePath, ctx)
	return &cdh.GetResourceResponse{Resource: []byte("of " + r.ResourcePath)}, nil
}

func (h *hub) UnsealSecret(ctx context.Context, r *cdh.UnsealSecretInput) (*cdh.UnsealSecretOutput, error) {
	h.note(string(r.Secret), ctx)
	if string(r.Secret) == "sealed.for.another.guest" {
		return nil, status.Error(codes.Internal, "[CDH] [ERROR]: cannot be unsealed")
	}
	return &cdh.UnsealSecretOutput{Plaintext: []byte("opened " + string(r.Secret))}, nil
}

// start serves it on a socket of the test.
func (h *hub) start(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "hub.sock")
	l, err := securemount.Listen(t.Context(), socket)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- securemount.Serve(ctx, l, nil, func(s *ttrpc.Server) {
			cdh.RegisterGetResourceServiceService(s, h)
			cdh.RegisterSealedSecretServiceService(s, h)
		})
	}()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	return socket
}

// What the agent waits for an answer: agent.cdh_api_timeout, and
// agent.image_pull_timeout, where they are not set.
const (
	agentTimeout = 50 * time.Second
	pullTimeout  = 1200 * time.Second
)

// agent makes the requests of Kata's agent, over the one connection that it has.
type agent struct {
	t          *testing.T
	secrets    cdh.SealedSecretServiceService
	pulls      cdh.ImagePullServiceService
	mounts     cdh.SecureMountServiceService
	resources  cdh.GetResourceServiceService
	image      string
	digest     string
	imageStore *cdh.SecureMountRequest
	emptyDir   *cdh.SecureMountRequest
}

func (a *agent) limited(limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(a.t.Context(), limit)
	a.t.Cleanup(cancel)
	return ctx
}

func (a *agent) mount(r *cdh.SecureMountRequest) {
	a.t.Helper()
	require.NoError(a.t, os.MkdirAll(r.MountPoint, 0o750))
	_, err := a.mounts.SecureMount(a.limited(agentTimeout), r)
	require.NoError(a.t, err)
}

func (a *agent) unseal(secret string) error {
	got, err := a.secrets.UnsealSecret(a.limited(agentTimeout), &cdh.UnsealSecretInput{Secret: []byte(secret)})
	if err == nil {
		require.Equal(a.t, "opened "+secret, string(got.Plaintext))
	}
	return err
}

// createContainer is what do_create_container of the agent asks, in its order
// (kata-containers, src/agent/src: rpc.rs, device/vfio_device_handler.rs,
// storage/block_handler.rs, storage/image_pull_handler.rs,
// confidential_data_hub/mod.rs).
func (a *agent) createContainer(bundle string) {
	t := a.t
	t.Helper()
	// add_devices: a crypto card of s390x.
	for _, path := range []string{"kbs:///vfio_ap/mkvp/secret", "kbs:///vfio_ap/mkvp/secret_id"} {
		got, err := a.resources.GetResource(a.limited(agentTimeout), &cdh.GetResourceRequest{ResourcePath: path})
		require.NoError(t, err)
		require.Equal(t, "of "+path, string(got.Resource))
	}
	a.mount(a.imageStore) // cdh_handler_trusted_storage
	// add_storages
	a.mount(a.emptyDir)
	require.NoError(t, os.MkdirAll(bundle, 0o750))
	got, err := a.pulls.PullImage(a.limited(pullTimeout), &cdh.ImagePullRequest{ImageUrl: a.image, BundlePath: bundle})
	require.NoError(t, err)
	require.Equal(t, a.digest, got.ManifestDigest)
	require.DirExists(t, filepath.Join(bundle, "rootfs"))
	// cdh_handler_sealed_secrets: of the environment, then of files. One that fails is
	// left as it is.
	require.NoError(t, a.unseal("sealed.of.the.environment"))
	err = a.unseal("sealed.for.another.guest")
	require.Equal(t, codes.Internal, status.Code(err))
	require.Equal(t, "[CDH] [ERROR]: cannot be unsealed", status.Convert(err).Message())
	require.NoError(t, a.unseal("sealed.of.a.file\n"))
}

// Every request that Kata's agent can make, in its order, over one connection: two
// containers of a pod. The services that are not ours are in another server; or
// behind a second service of ours.
func TestAgentsTranscript(t *testing.T) {
	kernel(t)
	for _, servers := range []int{1, 2} {
		h := &hub{}
		image, digest := pushed(t, 2)
		store := filepath.Join(t.TempDir(), "store")
		p := launch(t, newSocket(t), "--store", store, "--upstream", h.start(t))
		if servers == 2 {
			p = launch(t, newSocket(t), "--store", store, "--upstream", p.socket)
		}
		a := newAgent(t, p, store)
		a.image, a.digest = image, digest
		bundles := []string{filepath.Join(t.TempDir(), "1"), filepath.Join(t.TempDir(), "2")}
		for _, bundle := range bundles {
			a.createContainer(bundle)
		}
		once := []string{
			"kbs:///vfio_ap/mkvp/secret", "kbs:///vfio_ap/mkvp/secret_id",
			"sealed.of.the.environment", "sealed.for.another.guest", "sealed.of.a.file\n",
		}
		require.Equal(t, append(once, once...), h.asked)
		for _, bundle := range bundles {
			require.NoError(t, guestpull.New(store, guestpull.Options{}).Release(t.Context(), bundle))
		}
		p.unmount(t, a.emptyDir.MountPoint)
		p.unmount(t, a.imageStore.MountPoint)
	}
}

func newAgent(t *testing.T, p *process, store string) *agent {
	t.Helper()
	client := p.client(t)
	a := &agent{
		t: t, secrets: cdh.NewSealedSecretServiceClient(client), pulls: cdh.NewImagePullServiceClient(client),
		mounts: cdh.NewSecureMountServiceClient(client), resources: cdh.NewGetResourceServiceClient(client),
	}
	a.imageStore = request(t, storagetest.Disk(t, 128<<20), store)
	disk := storagetest.Disk(t, 64<<20)
	a.emptyDir = request(t, disk, filepath.Join(t.TempDir(), base64.URLEncoding.EncodeToString([]byte(disk))))
	a.emptyDir.Options["mkfsOpts"] = "-O ^has_journal -m 0 -i 163840 -I 128"
	return a
}

// A service whose upstream is itself says so, whatever the name.
func TestUpstreamIsAnother(t *testing.T) {
	kernel(t)
	socket, link := newSocket(t), filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(socket, link))
	out, err := exec.Command("trusted-guest", "serve", "--socket", socket, "--upstream", link).CombinedOutput()
	require.Error(t, err)
	require.Equal(t, "trusted-guest: serve: upstream "+link+": that is this service's own socket\n", string(out))
	require.NoFileExists(t, socket)
}
