package handover

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	image  = "registry.example:5000/large-image:v1"
	digest = "sha256:24fb2886d6f6c5d16481dd7608b47e78a8e92a13d6e64d87d57cb16d5f766d63"
)

// fromSnapshotter is the JSON of nydus-snapshotter in proxy mode, with a source, which
// v0.13.11 leaves empty.
const fromSnapshotter = `{"volume_type":"image_guest_pull","source":"` + image + `",` +
	`"options":["containerd.io/snapshot/cri.layer-digest=` + digest + `","containerd.io/snapshot/nydus-proxy-mode=true"],` +
	`"image_pull":{"metadata":{"containerd.io/snapshot/cri.layer-digest":"` + digest + `","containerd.io/snapshot/nydus-proxy-mode":"true"}}}`

func option(json string) string {
	return OptionName + "=" + base64.StdEncoding.EncodeToString([]byte(json))
}

func TestFromMount(t *testing.T) {
	p, err := FromMount([]string{"workdir=/w", "upperdir=/u", "lowerdir=/l", option(fromSnapshotter)}, nil)
	require.NoError(t, err)
	require.Equal(t, Pull{Image: image, Metadata: map[string]string{
		"containerd.io/snapshot/cri.layer-digest": digest, "containerd.io/snapshot/nydus-proxy-mode": "true",
	}}, p)
	require.False(t, p.Sandbox())
}

// The annotations win, as in Kata's runtime, and go along.
func TestFromMountWithAnnotations(t *testing.T) {
	for _, c := range []struct{ name, nameKey, typeKey string }{
		{"containerd", "io.kubernetes.cri.image-name", "io.kubernetes.cri.container-type"},
		{"CRI-O", "io.kubernetes.cri-o.ImageName", "io.kubernetes.cri-o.ContainerType"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, source := range []string{image, noImage, ""} {
				handed := strings.Replace(fromSnapshotter, image, source, 1)
				p, err := FromMount([]string{option(handed)}, map[string]string{c.nameKey: "other:1", c.typeKey: "container"})
				require.NoError(t, err)
				require.Equal(t, "other:1", p.Image)
				require.Equal(t, "other:1", p.Metadata[c.nameKey])
				require.Equal(t, "true", p.Metadata["containerd.io/snapshot/nydus-proxy-mode"])
				p, err = FromMount([]string{option(handed)}, map[string]string{c.nameKey: "k8s/pause:3", c.typeKey: "sandbox"})
				require.NoError(t, err)
				require.True(t, p.Sandbox())
			}
		})
	}
}

func TestMountRefused(t *testing.T) {
	pull := func(source string) []string {
		return []string{option(strings.Replace(fromSnapshotter, image, source, 1))}
	}
	for _, c := range []struct {
		name    string
		options []string
		err     error
		says    string
	}{
		{"no options", nil, ErrNone, "no mount option io.katacontainers.volume among 0"},
		{"other options", []string{"ro", "io.katacontainers.volumes=x"}, ErrNone, "among 2"},
		{"no value", []string{OptionName}, ErrMalformed, "it has no value"},
		{"empty value", []string{OptionName + "="}, ErrMalformed, "not a JSON object"},
		{"no base64", []string{OptionName + "=%"}, ErrMalformed, "illegal base64"},
		{"no padding", []string{OptionName + "=e30"}, ErrMalformed, "illegal base64"},
		{"line break", []string{OptionName + "=e3\n0="}, ErrMalformed, "line break"},
		{"trailing bits", []string{OptionName + "=e31="}, ErrMalformed, "illegal base64"},
		{"too long", []string{OptionName + "=" + strings.Repeat("A", 2*MaxBytes)}, ErrTooLong, "at most 1048576 of JSON"},
		{"two", []string{option(fromSnapshotter), option(fromSnapshotter)}, ErrSeveral, ": 2"},
		{"no image", pull(""), ErrNoImage, "nor by annotation io.kubernetes.cri.image-name"},
		{"made-up image", pull(noImage), ErrNoImage, ""},
		{"forged line", pull(`a:1\nlevel=info`), ErrInvalid, "no image reference"},
		{"long reference", pull(strings.Repeat("a", 1025)), ErrInvalid, "no image reference"},
		{"pause without sandbox", pull(Pause), ErrContradiction, `source "pause"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := FromMount(c.options, nil)
			require.ErrorIs(t, err, c.err)
			require.ErrorContains(t, err, c.says)
		})
	}
}

// Labels that call an image's container a sandbox would get it the pause image.
func TestSandboxByLabelAlone(t *testing.T) {
	handed := strings.Replace(fromSnapshotter, `"containerd.io/snapshot/nydus-proxy-mode":`, `"io.kubernetes.cri.container-type":"sandbox","x":`, 1)
	_, err := FromMount([]string{option(handed)}, nil)
	require.ErrorIs(t, err, ErrContradiction)
	require.ErrorContains(t, err, `container type "sandbox"`)
}
