package handover

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const rootfs = "/run/kata-containers/cb0b47276ea6/rootfs"

// fromRuntime is what Kata's runtime sends for a container, and for a sandbox.
func fromRuntime(source, containerType string) Storage {
	return Storage{
		Driver: "image_guest_pull", Source: source, FSType: "overlay", MountPoint: rootfs,
		DriverOptions: []string{`image_guest_pull={"metadata":{"io.kubernetes.cri.container-type":"` + containerType + `","a":"b=c"}}`},
	}
}

func TestFromStorage(t *testing.T) {
	p, err := FromStorage(fromRuntime(image, "container"))
	require.NoError(t, err)
	require.Equal(t, Pull{Image: image, MountPoint: rootfs, Metadata: map[string]string{
		"io.kubernetes.cri.container-type": "container", "a": "b=c",
	}}, p)
	p, err = FromStorage(fromRuntime(Pause, "sandbox"))
	require.NoError(t, err)
	require.True(t, p.Sandbox())
}

func TestStorageRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Storage)
		err    error
		says   string
	}{
		{"no driver", func(s *Storage) { s.Driver = "" }, ErrNone, `storage driver ""`},
		{"other driver", func(s *Storage) { s.Driver = "blk" }, ErrNone, `"blk"`},
		{"layer driver", func(s *Storage) { s.Driver = "layer_raw_block" }, ErrUnsupported, "storage driver layer_raw_block"},
		{"no option", func(s *Storage) { s.DriverOptions = []string{"image_guest_pull"} }, ErrNone, "among 1"},
		{"two options", func(s *Storage) { s.DriverOptions = append(s.DriverOptions, s.DriverOptions[0]) }, ErrSeveral, "2 driver options"},
		{"no JSON", func(s *Storage) { s.DriverOptions[0] = "image_guest_pull=" }, ErrMalformed, "driver option image_guest_pull"},
		{"map without metadata", func(s *Storage) { s.DriverOptions[0] = `image_guest_pull={"a":"b"}` }, ErrMalformed, `member "a"`},
		{"other filesystem", func(s *Storage) { s.FSType = "erofs" }, ErrInvalid, `fstype "erofs"`},
		{"no mount point", func(s *Storage) { s.MountPoint = "" }, ErrInvalid, "not absolute and clean"},
		{"relative", func(s *Storage) { s.MountPoint = "rootfs" }, ErrInvalid, "not absolute and clean"},
		{"way up", func(s *Storage) { s.MountPoint = "/run/kata-containers/../../etc" }, ErrInvalid, "not absolute and clean"},
		{"no image", func(s *Storage) { s.Source = "" }, ErrNoImage, ""},
		{"image as a sandbox", func(s *Storage) { *s = fromRuntime(image, "sandbox") }, ErrContradiction, `container type "sandbox"`},
		{"pause as a container", func(s *Storage) { *s = fromRuntime(Pause, "container") }, ErrContradiction, `source "pause"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fromRuntime(image, "container")
			c.change(&s)
			_, err := FromStorage(s)
			require.ErrorIs(t, err, c.err)
			require.ErrorContains(t, err, c.says)
		})
	}
}
