package handover

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// Any text is a valid volume or a named error; what is accepted means the same to
// encoding/json, with which the other programs read it.
func FuzzVolume(f *testing.F) {
	for _, text := range valid {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Parse([]byte(text))
		if err != nil {
			requireNamed(t, err)
			require.Zero(t, v)
			return
		}
		var other struct {
			VolumeType string   `json:"volume_type"`
			Source     string   `json:"source"`
			FSType     string   `json:"fs_type"`
			Options    []string `json:"options"`
		}
		require.NoError(t, json.Unmarshal([]byte(text), &other))
		require.Equal(t, other.VolumeType, string(v.Type))
		require.Equal(t, other.Source, v.Source)
		require.Equal(t, other.FSType, v.FSType)
		require.Len(t, other.Options, len(v.Options))
	})
}

func FuzzPull(f *testing.F) {
	f.Add(option(fromSnapshotter), "container")
	f.Add(fromRuntime(image, "container").DriverOptions[0], image)
	f.Fuzz(func(t *testing.T, opt, source string) {
		p, err := FromMount([]string{opt}, map[string]string{imageNameKeys[0]: source})
		s, storageErr := FromStorage(Storage{Driver: string(ImageGuestPull), DriverOptions: []string{opt}, Source: source, MountPoint: rootfs})
		for i, err := range []error{err, storageErr} {
			if err != nil {
				requireNamed(t, err)
				continue
			}
			got := []Pull{p, s}[i]
			require.NotEmpty(t, got.Image)
			require.Equal(t, got.Sandbox(), isSandbox(got.Metadata))
		}
	})
}

func requireNamed(t *testing.T, err error) {
	t.Helper()
	for _, known := range []error{ErrNone, ErrSeveral, ErrTooLong, ErrMalformed, ErrUnknownType, ErrInvalid, ErrUnsupported, ErrNoImage, ErrContradiction} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Fatalf("no named error: %v", err)
}
