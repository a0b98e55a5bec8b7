package guestpull_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Where containerd has its configuration and its socket, and above its data and the
// snapshotter's.
const (
	containerdConfig = "/etc/containerd/config.toml"
	containerdSocket = "/run/containerd/containerd.sock"
	hostData         = "/var/lib"
)

// criHost is a real containerd with a real snapshotter, a registry that counts what
// they fetch, and a runtime that only looks at what it is given.
type criHost struct {
	t       *testing.T
	images  cri.ImageServiceClient
	runtime cri.RuntimeServiceClient
	kata    *kataShim
	reg     *testRegistry
	layers  []digest.Digest
	app     string // an image of three layers
}

// sandboxTables name the pause image, as in a cluster without a way to the world.
var sandboxTables = map[string]string{
	"containerd-1.7": "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = %q\n",
	"containerd-2":   "[plugins.\"io.containerd.cri.v1.images\".pinned_images]\nsandbox = %q\n",
}

// newCRIHost starts containerd of a series with a configuration, after the snapshotter
// with that of the how-to. Its file is what whole makes of these lines and those for the
// pause image.
func newCRIHost(t *testing.T, program, lines string, whole func(lines string) string) *criHost {
	t.Helper()
	if storagetest.Bed() != "uml" {
		t.Skip("guests of the bed uml have containerd")
	}
	h := &criHost{t: t, reg: newRegistry(t, t.TempDir()), kata: startKataShim(t)}
	// A guest's root is an overlay, and not for another one.
	require.NoError(t, unix.Mount("tmpfs", hostData, "tmpfs", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(hostData, unix.MNT_DETACH)) })
	startSnapshotter(t, configOfHowTo(t))
	pause := h.push("pause:1", 1)
	h.app = h.push("large-image:v1", 3)
	h.start(program, whole(lines+"\n"+fmt.Sprintf(sandboxTables[program], pause)))
	return h
}

// push makes an image and remembers its layers.
func (h *criHost) push(name string, layers int) string {
	b := newImage(h.t, h.reg)
	for i := range layers {
		b.layer(func(l *layerBuilder) { l.fill(fmt.Sprint(name, i), uint64(i), 10, mib) })
	}
	b.image.Config = encode(h.t, ocispec.Image{Platform: *platformOf("linux/amd64"), Config: ocispec.ImageConfig{Cmd: []string{"app"}},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: b.image.DiffIDs}})
	for _, l := range b.image.Layers {
		h.layers = append(h.layers, l.Digest)
	}
	ref, _ := h.reg.push(h.t, name, b.image)
	return ref
}

// fetched is how many layers were asked for.
func (h *criHost) fetched() (n int) {
	for _, d := range h.layers {
		n += min(1, h.reg.timesAsked(d))
	}
	return n
}

// start has containerd read the configuration where it is on a node.
func (h *criHost) start(program, config string) {
	t := h.t
	require.NoError(t, os.MkdirAll(filepath.Dir(containerdConfig), 0o755))
	require.NoError(t, os.WriteFile(containerdConfig, []byte(config), 0o644))
	var log bytes.Buffer
	cmd := exec.Command(program, "--config", containerdConfig)
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start(), "make setup fetches %s", program)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			require.NoError(t, err)
		}
		if err := <-ended; err != nil || t.Failed() {
			t.Log(err, log.String())
		}
	})
	h.dial(ended)
}

// dial waits until containerd has loaded its plugins.
func (h *criHost) dial(ended chan error) {
	conn, err := grpc.NewClient("unix://"+containerdSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(h.t, err)
	h.t.Cleanup(func() { require.NoError(h.t, conn.Close()) })
	h.images, h.runtime = cri.NewImageServiceClient(conn), cri.NewRuntimeServiceClient(conn)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		_, err := h.runtime.Version(h.t.Context(), &cri.VersionRequest{})
		if status.Code(err) != codes.Unavailable {
			require.NoError(h.t, err, "the CRI plugin")
			return
		}
		require.True(h.t, time.Now().Before(deadline), "containerd answers")
		select {
		case err := <-ended:
			ended <- err
			require.FailNow(h.t, "containerd ended", "%v", err)
		default:
		}
	}
}

// pod is what the kubelet sends of a pod without a network of its own.
func (h *criHost) pod(annotations map[string]string) *cri.PodSandboxConfig {
	host := &cri.NamespaceOption{Network: cri.NamespaceMode_NODE}
	return &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: "guest-pull", Namespace: "default", Uid: h.t.Name()}, Annotations: annotations,
		LogDirectory: h.t.TempDir(), Linux: &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: host}},
	}
}

// pull is what the kubelet asks for before it starts a container.
func (h *criHost) pull(pod *cri.PodSandboxConfig) error {
	_, err := h.images.PullImage(h.t.Context(), &cri.PullImageRequest{Image: &cri.ImageSpec{Image: h.app}, SandboxConfig: pod})
	return err
}

// run starts a pod with one container, and returns the names of both.
func (h *criHost) run(pod *cri.PodSandboxConfig) (sandbox, container string) {
	t, ctx := h.t, h.t.Context()
	s, err := h.runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: pod, RuntimeHandler: kataHandler})
	require.NoError(t, err)
	t.Cleanup(func() { h.remove(s.PodSandboxId) })
	require.NoError(t, h.pull(pod))
	c, err := h.runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId: s.PodSandboxId, SandboxConfig: pod,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "app"}, Image: &cri.ImageSpec{Image: h.app}, Command: []string{"app"}, LogPath: "app.log",
			Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: pod.Linux.SecurityContext.NamespaceOptions}},
		},
	})
	require.NoError(t, err)
	_, err = h.runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: c.ContainerId})
	require.NoError(t, err)
	return s.PodSandboxId, c.ContainerId
}

func (h *criHost) remove(sandbox string) {
	ctx := context.Background() // the test has ended
	_, err := h.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: sandbox})
	require.NoError(h.t, err)
	_, err = h.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: sandbox})
	require.NoError(h.t, err)
}

// kataHandler is the runtime of the how-to, and byAnnotation how its pods name it.
const kataHandler = "kata-qemu"

var byAnnotation = map[string]string{"io.containerd.cri.runtime-handler": kataHandler}
