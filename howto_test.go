package house_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// block is a fenced part of a page. Its name is in a comment before it, if it has one.
type block struct{ name, language, text string }

func blocksOf(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var all []block
	for part := string(text); ; {
		before, rest, found := strings.Cut(part, "\n```")
		if !found {
			return all
		}
		language, rest, _ := strings.Cut(rest, "\n")
		body, after, found := strings.Cut(rest, "```\n")
		require.True(t, found, "%s: a block without an end", page)
		name := ""
		if line := before[strings.LastIndex(before, "\n")+1:]; strings.HasPrefix(line, "<!-- ") {
			name = strings.TrimSuffix(strings.TrimPrefix(line, "<!-- "), " -->")
		}
		all = append(all, block{name, language, body})
		part = "\n" + after
	}
}

func blockNamed(t *testing.T, page, name string) string {
	t.Helper()
	for _, b := range blocksOf(t, page) {
		if b.name == name {
			return b.text
		}
	}
	t.Fatalf("%s has no block %q", page, name)
	return ""
}

const guestPullPage = "docs/guest-pull.md"

// Every shell block is one for a shell.
func TestHowToShellBlocks(t *testing.T) {
	n := 0
	for _, b := range blocksOf(t, guestPullPage) {
		if b.language != "bash" {
			continue
		}
		n++
		cmd := exec.Command("bash", "-n")
		cmd.Stdin = strings.NewReader(b.text)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", out, b.text)
		require.NotContains(t, b.text, "\n$ ", "a prompt in what is to be copied")
	}
	require.Greater(t, n, 8)
}

// strictTOML refuses whatever is not in the schema.
func strictTOML(t *testing.T, text string, into any) {
	t.Helper()
	d := toml.NewDecoder(strings.NewReader(text))
	require.NoError(t, d.DisallowUnknownFields().Decode(into))
}

// criRuntimes and criImages are what of containerd's configuration the page uses:
// its own types are internal, or of another major version each.
type criRuntimes struct {
	Runtimes map[string]struct {
		Type        string `toml:"runtime_type"`
		Snapshotter string `toml:"snapshotter"`
	} `toml:"runtimes"`
}

type criImages struct {
	Snapshotter                string `toml:"snapshotter"`
	DisableSnapshotAnnotations *bool  `toml:"disable_snapshot_annotations"`
	DiscardUnpackedLayers      *bool  `toml:"discard_unpacked_layers"`
}

type containerdConfig[P any] struct {
	Version      int                          `toml:"version"`
	ProxyPlugins map[string]map[string]string `toml:"proxy_plugins"`
	Plugins      P                            `toml:"plugins"`
}

type containerd1 struct {
	CRI struct {
		Containerd struct {
			criImages
			criRuntimes
		} `toml:"containerd"`
	} `toml:"io.containerd.grpc.v1.cri"`
}

type containerd2 struct {
	Images struct {
		criImages
		UseLocalImagePull bool `toml:"use_local_image_pull"`
		RuntimePlatforms  map[string]struct {
			Snapshotter string `toml:"snapshotter"`
		} `toml:"runtime_platforms"`
	} `toml:"io.containerd.cri.v1.images"`
	Runtime struct {
		Containerd criRuntimes `toml:"containerd"`
	} `toml:"io.containerd.cri.v1.runtime"`
}

// containerd finds the snapshotter where the snapshotter listens, and tells it what
// it is about.
func TestHowToContainerd(t *testing.T) {
	var nydus struct {
		Version    int               `toml:"version"`
		Root       string            `toml:"root"`
		Address    string            `toml:"address"`
		DaemonMode string            `toml:"daemon_mode"`
		Daemon     map[string]string `toml:"daemon"`
		Snapshot   map[string]bool   `toml:"snapshot"`
	}
	strictTOML(t, blockNamed(t, guestPullPage, "/etc/nydus/config-proxy.toml"), &nydus)
	plugin := map[string]map[string]string{"nydus": {"type": "snapshot", "address": nydus.Address}}

	fits := func(version, want int, proxy map[string]map[string]string, images criImages) {
		require.Equal(t, want, version)
		require.Equal(t, plugin, proxy)
		require.False(t, *images.DisableSnapshotAnnotations)
		require.False(t, *images.DiscardUnpackedLayers)
	}
	var old, seven containerdConfig[containerd1]
	strictTOML(t, blockNamed(t, guestPullPage, "containerd before 1.7"), &old)
	fits(old.Version, 2, old.ProxyPlugins, old.Plugins.CRI.Containerd.criImages)
	require.Equal(t, "nydus", old.Plugins.CRI.Containerd.Snapshotter)
	strictTOML(t, blockNamed(t, guestPullPage, "containerd 1.7"), &seven)
	fits(seven.Version, 2, seven.ProxyPlugins, seven.Plugins.CRI.Containerd.criImages)
	require.Empty(t, seven.Plugins.CRI.Containerd.Snapshotter)
	require.Equal(t, "nydus", seven.Plugins.CRI.Containerd.Runtimes["kata-qemu"].Snapshotter)
	var two containerdConfig[containerd2]
	strictTOML(t, blockNamed(t, guestPullPage, "containerd 2"), &two)
	fits(two.Version, 3, two.ProxyPlugins, two.Plugins.Images.criImages)
	require.True(t, two.Plugins.Images.UseLocalImagePull)
	require.Equal(t, "nydus", two.Plugins.Images.RuntimePlatforms["kata-qemu"].Snapshotter)
	require.Equal(t, "nydus", two.Plugins.Runtime.Containerd.Runtimes["kata-qemu"].Snapshotter)
}

func TestHowToPod(t *testing.T) {
	var pod corev1.Pod
	require.NoError(t, yaml.UnmarshalStrict([]byte(blockNamed(t, guestPullPage, "pod")), &pod, yaml.DisallowUnknownFields))
	require.Equal(t, *pod.Spec.RuntimeClassName, pod.Annotations["io.containerd.cri.runtime-handler"])
	require.Equal(t, corev1.PullAlways, pod.Spec.Containers[0].ImagePullPolicy)
}

// The real yq makes of the snapshotter's own manifests, at the version of the page,
// what an API server takes.
func TestHowToDaemonSet(t *testing.T) {
	tools, err := filepath.Abs("bin/howto")
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(tools, "yq")); err != nil {
		require.NotEqual(t, "required", os.Getenv("TRUSTED_STORE_BEDS"), "make setup builds yq")
		t.Skip("needs yq, which make setup builds:", err)
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "base"), 0o755))
	manifest, err := os.ReadFile(filepath.Join(snapshotterSource(t), "misc/snapshotter/base/nydus-snapshotter.yaml"))
	require.NoError(t, err)
	file := filepath.Join(dir, "base/nydus-snapshotter.yaml")
	require.NoError(t, os.WriteFile(file, manifest, 0o644))

	cmd := exec.Command("bash", "-ec", blockNamed(t, guestPullPage, "yq"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	changed, err := os.ReadFile(file)
	require.NoError(t, err)
	docs := bytes.Split(bytes.TrimPrefix(changed, []byte("---\n")), []byte("\n---\n"))
	require.Len(t, docs, 2)
	var config corev1.ConfigMap
	require.NoError(t, yaml.UnmarshalStrict(docs[0], &config, yaml.DisallowUnknownFields))
	require.Equal(t, map[string]string{
		"FS_DRIVER": "proxy", "ENABLE_CONFIG_FROM_VOLUME": "false",
		"ENABLE_SYSTEMD_SERVICE": "true", "ENABLE_RUNTIME_SPECIFIC_SNAPSHOTTER": "true",
	}, config.Data)
	var set appsv1.DaemonSet
	require.NoError(t, yaml.UnmarshalStrict(docs[1], &set, yaml.DisallowUnknownFields))
	require.True(t, strings.HasSuffix(set.Spec.Template.Spec.Containers[0].Image, "/nydus-snapshotter:v0.13.11"))
}

// The script of the DaemonSet leaves the how-to's lines for containerd as they are.
func TestHowToDaemonSetLeavesContainerd(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(snapshotterSource(t), "misc/snapshotter/snapshotter.sh"))
	require.NoError(t, err)
	functions, called := strings.CutSuffix(strings.TrimSpace(string(script)), `main "$@"`)
	require.True(t, called)
	for _, name := range []string{"containerd 1.7", "containerd 2"} {
		file := filepath.Join(t.TempDir(), "config.toml")
		lines := blockNamed(t, guestPullPage, name)
		require.NoError(t, os.WriteFile(file, []byte(lines), 0o644))
		cmd := exec.Command("bash", "-c", functions+"\nCONTAINER_RUNTIME_CONFIG=$0 ENABLE_RUNTIME_SPECIFIC_SNAPSHOTTER=true\nconfigure_snapshotter", file)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		changed, err := os.ReadFile(file)
		require.NoError(t, err)
		var before, after map[string]any
		require.NoError(t, toml.Unmarshal([]byte(lines), &before))
		require.NoError(t, toml.Unmarshal(changed, &after))
		require.Equal(t, before, after)
	}
}

// snapshotterSource is where the module is that make setup built.
func snapshotterSource(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", "github.com/containerd/nydus-snapshotter@v0.13.11")
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	require.NoError(t, err, "%s", out)
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &module))
	return module.Dir
}
