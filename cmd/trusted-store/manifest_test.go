package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// applied are the objects of a manifest, decoded by the API's own types, which
// refuse unknown fields.
type applied struct {
	class  *storagev1.StorageClass
	volume *corev1.PersistentVolume
	claim  *corev1.PersistentVolumeClaim
	pod    *corev1.Pod
}

func decode(t *testing.T, text []byte) applied {
	t.Helper()
	var a applied
	for doc := range bytes.SplitSeq(text, []byte("---\n")) {
		var kind struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		require.NoError(t, yaml.Unmarshal(doc, &kind))
		into, known := map[string]any{
			"storage.k8s.io/v1/StorageClass": &a.class, "v1/PersistentVolume": &a.volume,
			"v1/PersistentVolumeClaim": &a.claim, "v1/Pod": &a.pod,
		}[kind.APIVersion+"/"+kind.Kind]
		require.True(t, known, "%+v", kind)
		require.True(t, reflect.ValueOf(into).Elem().IsNil(), "a second %s", kind.Kind)
		require.NoError(t, yaml.UnmarshalStrict(doc, into, yaml.DisallowUnknownFields))
	}
	return a
}

// requireFit holds the names that refer to each other against each other.
func requireFit(t *testing.T, a applied, bytes int64) {
	t.Helper()
	require.Equal(t, a.claim.Namespace, a.pod.Namespace)
	require.Equal(t, corev1.PersistentVolumeBlock, *a.claim.Spec.VolumeMode)
	request := a.claim.Spec.Resources.Requests[corev1.ResourceStorage]
	require.Equal(t, bytes, request.Value())
	require.Len(t, a.pod.Spec.Volumes, 1)
	require.Equal(t, a.claim.Name, a.pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName)
	require.Len(t, a.pod.Spec.Containers, 1)
	require.Equal(t, []corev1.VolumeDevice{{Name: a.pod.Spec.Volumes[0].Name, DevicePath: "/dev/trusted_store"}}, a.pod.Spec.Containers[0].VolumeDevices)
	require.Equal(t, *a.pod.Spec.RuntimeClassName, a.pod.Annotations["io.containerd.cri.runtime-handler"])
	if a.volume == nil {
		require.Nil(t, a.class)
		require.Empty(t, a.claim.Spec.VolumeName)
		return
	}
	requireBound(t, a, bytes)
}

func requireBound(t *testing.T, a applied, bytes int64) {
	t.Helper()
	require.Equal(t, a.class.Name, a.volume.Spec.StorageClassName)
	require.Equal(t, a.class.Name, *a.claim.Spec.StorageClassName)
	require.Equal(t, storagev1.VolumeBindingWaitForFirstConsumer, *a.class.VolumeBindingMode)
	require.Equal(t, a.volume.Name, a.claim.Spec.VolumeName)
	require.Equal(t, a.claim.Name, a.volume.Spec.ClaimRef.Name)
	require.Equal(t, a.claim.Namespace, a.volume.Spec.ClaimRef.Namespace)
	require.Equal(t, corev1.PersistentVolumeBlock, *a.volume.Spec.VolumeMode)
	require.Equal(t, a.volume.Spec.AccessModes, a.claim.Spec.AccessModes)
	capacity := a.volume.Spec.Capacity[corev1.ResourceStorage]
	require.Equal(t, bytes, capacity.Value())
	require.Equal(t, corev1.PersistentVolumeReclaimRetain, a.volume.Spec.PersistentVolumeReclaimPolicy)
	require.True(t, filepath.IsAbs(a.volume.Spec.Local.Path))
	require.NotEmpty(t, a.volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0])
}

// output runs a command line of this program in this process.
func output(t *testing.T, args ...string) []byte {
	t.Helper()
	var out, errOut bytes.Buffer
	require.Equal(t, exitDone, run(context.Background(), args, &out, &errOut), errOut.String())
	require.Empty(t, errOut.String())
	return out.Bytes()
}

func backingFile(t *testing.T, size string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trusted.img")
	output(t, "volume", "create", file, "--size", size)
	return file
}

// The files in examples/kubernetes are what the command writes.
func TestExampleManifests(t *testing.T) {
	if storagetest.Bed() != "" {
		t.Skip("needs no bed")
	}
	file := backingFile(t, "2500MiB")
	for name, args := range map[string][]string{
		"local.yaml": {file, "--device", "/dev/loop0", "--node", "worker-1"},
		"cloud.yaml": {"--storage-class", "fast-block", "--size", "2500MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			got := output(t, append([]string{"volume", "manifest"}, args...)...)
			path := filepath.Join("../../examples/kubernetes", name)
			if *update {
				require.NoError(t, os.WriteFile(path, got, 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got), "after a change: go test ./cmd/trusted-store -run %s -update", t.Name())
			requireFit(t, decode(t, want), 2500<<20)
		})
	}
}

// Every flag ends where it belongs, and the capacity is exact at any size.
func TestManifestFlags(t *testing.T) {
	if storagetest.Bed() != "" {
		t.Skip("needs no bed")
	}
	for _, bytes := range []int64{4096, 16_662_528, 999_997_440, 1 << 30, 3 << 40} {
		a := decode(t, output(t, "volume", "manifest", backingFile(t, fmt.Sprintf("%dB", bytes)), "--name", "one", "--namespace", "two",
			"--node", "three.example", "--device", "/dev/disk/by-id/four", "--storage-class", "five.example",
			"--runtime-class", "kata-qemu-snp", "--image", "registry.example:5000/six@sha256:0"))
		requireFit(t, a, bytes)
		require.Equal(t, []string{"one", "two", "five.example"}, []string{a.claim.Name, a.pod.Namespace, a.class.Name})
		require.Equal(t, "three.example", a.volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0])
		require.Equal(t, "/dev/disk/by-id/four", a.volume.Spec.Local.Path)
		require.Equal(t, "kata-qemu-snp", *a.pod.Spec.RuntimeClassName)
		require.Equal(t, "registry.example:5000/six@sha256:0", a.pod.Spec.Containers[0].Image)
	}
}

// As JSON it is the same.
func TestManifestJSON(t *testing.T) {
	if storagetest.Bed() != "" {
		t.Skip("needs no bed")
	}
	args := []string{"volume", "manifest", backingFile(t, "64MiB"), "--device", "/dev/loop0", "--node", "a"}
	var list corev1.List
	require.NoError(t, yaml.UnmarshalStrict(output(t, append(args, "--json")...), &list, yaml.DisallowUnknownFields))
	require.Len(t, list.Items, 4)
	var joined [][]byte
	for _, item := range list.Items {
		joined = append(joined, item.Raw)
	}
	require.Equal(t, decode(t, output(t, args...)), decode(t, bytes.Join(joined, []byte("\n---\n"))))
}

// What is accepted as a name is what Kubernetes accepts, but for the empty label value.
func TestNames(t *testing.T) {
	const letters = "ab0-._A\n"
	kinds := []struct {
		nameKind
		theirs func(string) []string
	}{{label, validation.IsDNS1123Label}, {subdomain, validation.IsDNS1123Subdomain}, {labelValue, validation.IsValidLabelValue}}
	check := func(name string) {
		for _, k := range kinds {
			require.Equal(t, name != "" && len(k.theirs(name)) == 0, k.accepts(name), "%q", name)
		}
	}
	for range 50_000 {
		name := make([]byte, rand.IntN(6))
		for i := range name {
			name[i] = letters[rand.IntN(len(letters))]
		}
		check(string(name))
	}
	for _, n := range []int{63, 64, 253, 254} {
		check(strings.Repeat("a", n))
	}
}
