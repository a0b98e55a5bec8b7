package guestpull_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/require"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// containerdBlocks are the parts of the how-to for the releases of containerd.
var containerdBlocks = map[string]string{"containerd-1.7": "containerd 1.7", "containerd-2": "containerd 2"}

// What the real containerd makes of the how-to's configuration: a pod starts, its
// images are handed over to the guest, and the host has fetched no layer. The pod has
// to say what runtime it is for.
func TestContainerdHandsOver(t *testing.T) {
	for program, block := range containerdBlocks {
		for name, whole := range map[string]func(string) string{
			"alone":                  alone,
			"among containerd's own": func(lines string) string { return amongDefaults(t, program, lines) },
		} {
			t.Run(program+" "+name, func(t *testing.T) {
				inGuest(t)
				h := newCRIHost(t, program, howToBlock(t, block, "toml"), whole)
				sandbox, container := h.run(h.pod(byAnnotation))
				pull, err := h.kata.pull(sandbox)
				require.NoError(t, err)
				require.True(t, pull.Sandbox())
				pull, err = h.kata.pull(container)
				require.NoError(t, err)
				require.Equal(t, h.app, pull.Image)
				require.Zero(t, h.fetched())

				h.app = h.push("another-image:v1", 3)
				require.NoError(t, h.pull(h.pod(nil)))
				require.Equal(t, 3, h.fetched(), "the host pulls for a pod that does not name its runtime")
			})
		}
	}
}

// alone are lines that are a whole file.
func alone(lines string) string { return lines }

// amongDefaults adds lines to the tables of the configuration that containerd prints.
func amongDefaults(t *testing.T, program, lines string) string {
	t.Helper()
	text, err := exec.Command(program, "config", "default").Output()
	require.NoError(t, err)
	var whole, more map[string]any
	require.NoError(t, toml.Unmarshal(text, &whole))
	require.NoError(t, toml.Unmarshal([]byte(lines), &more))
	addTables(whole, more)
	text, err = toml.Marshal(whole)
	require.NoError(t, err)
	return string(text)
}

func addTables(to, from map[string]any) {
	for key, value := range from {
		if table, both := to[key].(map[string]any); both {
			if more, both := value.(map[string]any); both {
				addTables(table, more)
				continue
			}
		}
		to[key] = value
	}
}

// neededLine is a part of the configuration, and what comes of it when it is missing.
type neededLine struct {
	program, lines string
	fetched        int  // by the host, of three
	fails          bool // the pull, or else the pod
	long           bool // for the long form of the test
}

var neededLines = []neededLine{
	{"containerd-1.7", "snapshotter = \"nydus\"\n", 3, false, false},
	{"containerd-1.7", "disable_snapshot_annotations = false\n", 0, true, true},
	{"containerd-2", "[plugins.\"io.containerd.cri.v1.images\".runtime_platforms.kata-qemu]\nsnapshotter = \"nydus\"\n", 3, false, false},
	{"containerd-2", "disable_snapshot_annotations = false\n", 0, true, true},
	{"containerd-2", "snapshotter = \"nydus\"\n", 0, true, true}, // the runtime's, the last one
}

// Without these lines the host pulls, or no pod starts.
func TestContainerdNeedsEachLine(t *testing.T) {
	for _, n := range neededLines {
		t.Run(n.program+" "+n.lines, func(t *testing.T) {
			if n.long && os.Getenv("TRUSTED_STORE_SOAK") == "" {
				t.Skip("TRUSTED_STORE_SOAK is not set")
			}
			inGuest(t)
			whole := howToBlock(t, containerdBlocks[n.program], "toml")
			at := strings.LastIndex(whole, n.lines)
			require.Positive(t, at, "the page has this line")
			h := newCRIHost(t, n.program, whole[:at]+whole[at+len(n.lines):], alone)
			err := h.pull(h.pod(byAnnotation))
			require.Equal(t, n.fetched, h.fetched())
			if err == nil && n.fails {
				_, err = h.runtime.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: h.pod(byAnnotation), RuntimeHandler: kataHandler})
			}
			require.Equal(t, n.fails, err != nil, "%v", err)
		})
	}
}
