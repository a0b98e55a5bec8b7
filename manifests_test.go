package house_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"sigs.k8s.io/yaml"
)

// manifest decodes the objects of a file as an API server does, one for each pointer.
func manifest(t *testing.T, name string, into ...any) {
	t.Helper()
	docs := strings.Split(read(t, "examples/kubernetes/"+name), "\n---\n")
	require.Len(t, docs, len(into))
	for i, doc := range docs {
		require.NoError(t, yaml.UnmarshalStrict([]byte(doc), into[i], yaml.DisallowUnknownFields), name)
	}
}

// requireRaw: the guest gets the raw device by that name, in a pod of Kata's, and no
// other pod gets it.
func requireRaw(t *testing.T, pod corev1.PodSpec, annotations map[string]string, claim corev1.PersistentVolumeClaimSpec, device corev1.VolumeDevice) {
	t.Helper()
	require.Equal(t, *pod.RuntimeClassName, annotations["io.containerd.cri.runtime-handler"])
	require.Len(t, pod.Containers, 1)
	require.Equal(t, []corev1.VolumeDevice{device}, pod.Containers[0].VolumeDevices)
	require.Empty(t, pod.Containers[0].VolumeMounts)
	require.Equal(t, corev1.PersistentVolumeBlock, *claim.VolumeMode)
	require.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}, claim.AccessModes)
	require.False(t, claim.Resources.Requests.Storage().IsZero())
}

func TestStatefulSet(t *testing.T) {
	var service corev1.Service
	var set appsv1.StatefulSet
	manifest(t, "statefulset.yaml", &service, &set)
	require.Equal(t, service.Name, set.Spec.ServiceName)
	require.Equal(t, corev1.ClusterIPNone, service.Spec.ClusterIP)
	require.Equal(t, set.Spec.Template.Labels, service.Spec.Selector)
	require.Equal(t, set.Spec.Template.Labels, set.Spec.Selector.MatchLabels)
	require.Len(t, set.Spec.VolumeClaimTemplates, 1)
	claim := set.Spec.VolumeClaimTemplates[0]
	requireRaw(t, set.Spec.Template.Spec, set.Spec.Template.Annotations, claim.Spec, corev1.VolumeDevice{Name: claim.Name, DevicePath: "/dev/trusted_store"})
	require.Equal(t, appsv1.DeletePersistentVolumeClaimRetentionPolicyType, set.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled, "what is on it is useless then")
}

func TestGenericEphemeralVolume(t *testing.T) {
	var pod corev1.Pod
	manifest(t, "ephemeral.yaml", &pod)
	require.Len(t, pod.Spec.Volumes, 1)
	volume := pod.Spec.Volumes[0]
	requireRaw(t, pod.Spec, pod.Annotations, volume.Ephemeral.VolumeClaimTemplate.Spec, corev1.VolumeDevice{Name: volume.Name, DevicePath: "/dev/trusted_store"})
}

func TestExpansion(t *testing.T) {
	var class storagev1.StorageClass
	var claim corev1.PersistentVolumeClaim
	var pod corev1.Pod
	manifest(t, "expansion.yaml", &class, &claim, &pod)
	require.True(t, *class.AllowVolumeExpansion)
	require.Equal(t, class.Name, *claim.Spec.StorageClassName)
	require.Len(t, pod.Spec.Volumes, 1)
	require.Equal(t, claim.Name, pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName)
	requireRaw(t, pod.Spec, pod.Annotations, claim.Spec, corev1.VolumeDevice{Name: pod.Spec.Volumes[0].Name, DevicePath: "/dev/data"})
}
