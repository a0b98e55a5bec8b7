package securemount

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"
)

func specOf(devices ...specs.LinuxDevice) *specs.Spec {
	return &specs.Spec{Linux: &specs.Linux{Devices: devices}}
}

func TestFindDevice(t *testing.T) {
	other := specs.LinuxDevice{Path: "/dev/trusted_store2", Type: "b", Major: 8, Minor: 0}
	device := specs.LinuxDevice{Path: "/dev/trusted_store", Type: "b", Major: 8, Minor: 16}
	for _, spec := range []*specs.Spec{nil, {}, specOf(), specOf(other)} {
		_, found, err := FindDevice(spec)
		require.NoError(t, err)
		require.False(t, found)
	}
	number, found, err := listedDevice(specOf(other, device))
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "8:16", number)

	character, large := device, device
	character.Type, large.Minor = "c", 1<<20
	for want, spec := range map[string]*specs.Spec{
		"not a block device":             specOf(character),
		"more than once":                 specOf(device, device),
		"which no device has":            specOf(large),
		"has no block device 4095:99999": specOf(specs.LinuxDevice{Path: DevicePath, Type: "b", Major: 4095, Minor: 99999}),
	} {
		_, _, err := FindDevice(spec)
		require.ErrorContains(t, err, want)
	}
}

func TestIntegrityParameter(t *testing.T) {
	for line, want := range map[string]bool{
		"": true, "quiet agent.log=debug": true, "agent.secure_storage_integrity=true": true,
		"x agent.secure_storage_integrity=false\n":                                  false,
		"agent.secure_storage_integrity=false agent.secure_storage_integrity=1":     true,
		"agent.secure_storage_integrity2=false my.agent.secure_storage_integrity=0": true,
	} {
		got, err := IntegrityParameter(line)
		require.NoError(t, err)
		require.Equal(t, want, got, line)
	}
	for _, line := range []string{"agent.secure_storage_integrity", "agent.secure_storage_integrity=", "agent.secure_storage_integrity=FALSE"} {
		_, err := IntegrityParameter(line)
		require.Error(t, err, line)
	}
}
