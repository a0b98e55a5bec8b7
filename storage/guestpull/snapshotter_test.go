package guestpull_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/image-spec/identity"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/guestpull/handover"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Where the how-to puts the snapshotter and its configuration, and what that says.
const (
	nydusProgram   = "/usr/local/bin/containerd-nydus-grpc"
	overlayProgram = "/usr/local/bin/nydus-overlayfs"
	nydusConfig    = "/etc/nydus/config-proxy.toml"
	nydusSocket    = "/run/containerd-nydus/containerd-nydus-grpc.sock"
)

// inGuest skips a test that would replace a machine's own snapshotter.
func inGuest(t *testing.T) {
	t.Helper()
	storagetest.Kernel(t)
	if storagetest.Bed() == "host" {
		t.Skip("installs a snapshotter: in guests only")
	}
}

// hostImage is an image as containerd sees it, of which a proxying snapshotter gets
// no byte.
type hostImage struct {
	ref, manifest  string
	layers, chains []string
}

var pulledImage = hostImage{
	ref:      "127.0.0.1:5000/large-image:v1",
	manifest: testDigest('f'),
	layers:   []string{testDigest('1'), testDigest('2')},
	chains:   []string{testDigest('a'), testDigest('b')},
}

// errHostUnpacks: the snapshotter has containerd download and unpack the layer.
var errHostUnpacks = errors.New("no answer that it is there already")

func testDigest(digit byte) string { return "sha256:" + strings.Repeat(string(digit), 64) }

// The mount that the real nydus-snapshotter, with the configuration of the how-to,
// returns for a writable layer is one that we understand, in both of the forms in
// which it can arrive in the guest.
func TestSnapshotterHandsOver(t *testing.T) {
	inGuest(t)
	mount := writableLayer(t, startSnapshotter(t, configOfHowTo(t)), pulledImage)
	require.Equal(t, "fuse.nydus-overlayfs", mount.Type)
	require.Equal(t, "overlay", mount.Source)

	_, err := handover.FromMount(mount.Options, nil)
	require.ErrorIs(t, err, handover.ErrNoImage)
	pull, err := handover.FromMount(mount.Options, map[string]string{
		"io.kubernetes.cri.image-name": pulledImage.ref, "io.kubernetes.cri.container-type": "container",
	})
	require.NoError(t, err)
	require.Equal(t, handover.Pull{Image: pulledImage.ref, Metadata: map[string]string{
		"containerd.io/snapshot/cri.layer-digest": pulledImage.layers[1],
		"containerd.io/snapshot/nydus-proxy-mode": "true",
		"io.kubernetes.cri.image-name":            pulledImage.ref,
		"io.kubernetes.cri.container-type":        "container",
	}}, pull)

	sent := storageOf(t, pull, "/run/kata-containers/one/rootfs")
	received, err := handover.FromStorage(sent)
	require.NoError(t, err)
	pull.MountPoint = sent.MountPoint
	require.Equal(t, pull, received)
}

// What the real snapshotter hands over ends as an image that is mounted in the
// guest, pulled from its registry onto a store: the host has not seen a byte of it.
func TestSnapshotterEndsInAnOverlay(t *testing.T) {
	inGuest(t)
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	b := newImage(t, reg)
	for i := range 3 {
		b.layer(func(l *layerBuilder) { l.fill(fmt.Sprint("data", i), uint64(i), 20, mib) })
	}
	name, manifest := reg.push(t, "large-image:v1", b.image)
	image := hostImage{ref: name, manifest: manifest.String()}
	for _, chain := range identity.ChainIDs(slices.Clone(b.image.DiffIDs)) {
		image.chains = append(image.chains, chain.String())
	}
	for _, layer := range b.image.Layers {
		image.layers = append(image.layers, layer.Digest.String())
	}
	mount := writableLayer(t, startSnapshotter(t, configOfHowTo(t)), image)
	pull, err := handover.FromMount(mount.Options, map[string]string{
		"io.kubernetes.cri.image-name": name, "io.kubernetes.cri.container-type": "container",
	})
	require.NoError(t, err)

	images := guestpull.New(newStore(t, 64*mib), guestpull.Options{})
	mounted, err := images.Pull(t.Context(), pull.Image, guestpull.PullOptions{Bundle: newBundle(t, images)})
	require.NoError(t, err)
	require.Equal(t, manifest, mounted.Digest)
	requireTree(t, b.tree, readTree(t, mounted.RootFS))
}

// The lines of the configuration are all needed, and so is what the how-to has
// containerd send.
func TestSnapshotterMisconfigured(t *testing.T) {
	inGuest(t)
	for line, says := range map[string]string{
		`fs_driver = "proxy"`:       "the snapshotter ended",
		`enable_kata_volume = true`: "image.boot: not found",
	} {
		t.Run(line, func(t *testing.T) {
			config := strings.Replace(configOfHowTo(t), line, "", 1)
			require.NotEqual(t, configOfHowTo(t), config)
			client, err := trySnapshotter(t, config)
			if err == nil {
				_, err = prepareWritable(t, client, pulledImage)
			}
			require.ErrorContains(t, err, says)
		})
	}
	t.Run("without annotations", func(t *testing.T) {
		client := startSnapshotter(t, configOfHowTo(t))
		_, err := client.Prepare(t.Context(), &snapshotsapi.PrepareSnapshotRequest{
			Key: "extract", Labels: map[string]string{"containerd.io/snapshot.ref": pulledImage.chains[0]},
		})
		require.ErrorContains(t, err, "missing CRI reference annotation")
	})
}

// storageOf is what Kata's runtime makes of a mount for its agent.
func storageOf(t *testing.T, p handover.Pull, mountPoint string) handover.Storage {
	t.Helper()
	text, err := json.Marshal(map[string]any{"metadata": p.Metadata})
	require.NoError(t, err)
	return handover.Storage{
		Driver: "image_guest_pull", DriverOptions: []string{"image_guest_pull=" + string(text)},
		Source: p.Image, FSType: "overlay", MountPoint: mountPoint,
	}
}

// configOfHowTo is the file that docs/guest-pull.md shows.
func configOfHowTo(t *testing.T) string { return howToBlock(t, nydusConfig, "toml") }

func howToBlock(t *testing.T, name, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/guest-pull.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "<!-- "+name+" -->\n```"+language+"\n")
	require.True(t, found)
	text, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	return text
}

func startSnapshotter(t *testing.T, config string) snapshotsapi.SnapshotsClient {
	t.Helper()
	client, err := trySnapshotter(t, config)
	require.NoError(t, err)
	return client
}

// trySnapshotter starts it as the how-to does, until the end of the test.
func trySnapshotter(t *testing.T, config string) (snapshotsapi.SnapshotsClient, error) {
	t.Helper()
	installSnapshotter(t, config)
	var log bytes.Buffer
	cmd := exec.Command("bash", "-c", "exec "+howToBlock(t, "start", "bash"))
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
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
	return dialSnapshotter(t, ended)
}

// installSnapshotter puts its files where the how-to has them. The guest forgets them.
func installSnapshotter(t *testing.T, config string) {
	t.Helper()
	for _, place := range []string{nydusProgram, overlayProgram} {
		program, err := filepath.Abs(filepath.Join("../../bin/howto", filepath.Base(place)))
		require.NoError(t, err)
		require.FileExists(t, program, "make setup builds it")
		require.NoError(t, os.RemoveAll(place))
		require.NoError(t, os.Symlink(program, place))
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(nydusConfig), 0o755))
	require.NoError(t, os.WriteFile(nydusConfig, []byte(config), 0o644))
	require.NoError(t, os.RemoveAll("/var/lib/containerd-nydus"))
}

func dialSnapshotter(t *testing.T, ended chan error) (snapshotsapi.SnapshotsClient, error) {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+nydusSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	client := snapshotsapi.NewSnapshotsClient(conn)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			return nil, fmt.Errorf("the snapshotter ended: %w", err)
		default:
		}
		_, err = client.Stat(t.Context(), &snapshotsapi.StatSnapshotRequest{Key: "none"})
		if status.Code(err) != codes.Unavailable { // it answers
			return client, nil
		}
	}
	return nil, err
}

// writableLayer does what containerd does for a container.
func writableLayer(t *testing.T, client snapshotsapi.SnapshotsClient, image hostImage) *types.Mount {
	t.Helper()
	mount, err := prepareWritable(t, client, image)
	require.NoError(t, err)
	return mount
}

// prepareWritable offers each layer, as a pull does, and asks for the mount of a
// container on top of them. A host that would do the work itself is an error.
func prepareWritable(t *testing.T, client snapshotsapi.SnapshotsClient, image hostImage) (*types.Mount, error) {
	t.Helper()
	parent := ""
	for i, layer := range image.layers {
		_, err := client.Prepare(t.Context(), &snapshotsapi.PrepareSnapshotRequest{
			Key: fmt.Sprintf("extract-%d %s", i, image.chains[i]), Parent: parent,
			Labels: map[string]string{
				"containerd.io/snapshot.ref":                 image.chains[i],
				"containerd.io/snapshot/cri.image-ref":       image.ref,
				"containerd.io/snapshot/cri.layer-digest":    layer,
				"containerd.io/snapshot/cri.manifest-digest": image.manifest,
				"containerd.io/snapshot/cri.image-layers":    strings.Join(image.layers[i:], ","),
			},
		})
		if status.Code(err) != codes.AlreadyExists { // by which it says that no pull is needed
			return nil, fmt.Errorf("layer %d: the host is to unpack it (%w)", i, errHostUnpacks)
		}
		parent = image.chains[i]
	}
	reply, err := client.Prepare(t.Context(), &snapshotsapi.PrepareSnapshotRequest{Key: "container", Parent: parent})
	if err != nil {
		return nil, err
	}
	require.Len(t, reply.Mounts, 1)
	_, err = handover.ParseMount(reply.Mounts[0].Options)
	return reply.Mounts[0], err
}
