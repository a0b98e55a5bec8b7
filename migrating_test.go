package house_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/securemount"
)

const migratingPage = "docs/migrating.md"

// Requests that the page shows are taken, and mean what it says.
func TestMigratingRequests(t *testing.T) {
	var shown []securemount.Request
	for _, b := range blocksOf(t, migratingPage) {
		if b.name != "request" {
			continue
		}
		var request struct {
			VolumeType string            `json:"volume_type"`
			Options    map[string]string `json:"options"`
			Flags      []string          `json:"flags"`
			MountPoint string            `json:"mount_point"`
		}
		d := json.NewDecoder(strings.NewReader(b.text))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&request))
		r, err := securemount.ParseRequest(&cdh.SecureMountRequest{
			VolumeType: request.VolumeType, Options: request.Options, Flags: request.Flags, MountPoint: request.MountPoint,
		})
		require.NoError(t, err, b.text)
		shown = append(shown, r)
	}
	require.Len(t, shown, 2)
	require.Equal(t, securemount.SourceEmpty, shown[0].Source)
	require.NotEqual(t, shown[0].Integrity, shown[1].Integrity)
	require.Equal(t, securemount.SourceEncrypted, shown[1].Source)
}

// Every option that the service understands is in the page, and what the page says is
// refused is.
func TestMigratingOptions(t *testing.T) {
	page := read(t, migratingPage)
	table, _, found := strings.Cut(page[strings.Index(page, "## Options of a request"):], "\n<!--")
	require.True(t, found)
	source := read(t, "storage/securemount/options.go")
	names := regexp.MustCompile(`"([a-z]+[A-Z][A-Za-z]+|key)"`).FindAllStringSubmatch(source, -1)
	require.Greater(t, len(names), 8)
	for _, n := range names {
		if old := n[1] == "encryptType" || n[1] == "encryptKey" || n[1] == "fileSystem"; !old {
			require.Contains(t, table, "`"+n[1]+"`", "an option without a row")
		}
	}
	for _, wrong := range []map[string]string{
		{"encryptionType": "zfs"}, {"encryptionType": "luks2", "pool": "p"}, {"dataIntegrity": "yes"}, {"filesystemType": "xfs"}, {"unheardOf": "1"},
	} {
		wrong["deviceId"], wrong["sourceType"] = "8:16", "empty"
		_, err := securemount.ParseRequest(&cdh.SecureMountRequest{VolumeType: "block-device", Options: wrong, MountPoint: "/mnt"})
		require.Error(t, err, wrong)
	}
	request := &cdh.SecureMountRequest{VolumeType: "block-device", Options: map[string]string{"deviceId": "8:16", "sourceType": "empty"}, MountPoint: "/mnt"}
	r, err := securemount.ParseRequest(request)
	require.NoError(t, err)
	require.Zero(t, r.Integrity, "integrity, unless it is said otherwise")
	request.Flags = []string{"sync"}
	_, err = securemount.ParseRequest(request)
	require.Error(t, err)
}

// Every key of the section [image] that counts is in the page.
func TestMigratingConfiguration(t *testing.T) {
	page := read(t, migratingPage)
	section, _, _ := strings.Cut(read(t, "storage/guestpull/config.go"), "type proxySection")
	keys := regexp.MustCompile("`toml:\"([a-z_]+)\"`").FindAllStringSubmatch(section, -1)
	require.Greater(t, len(keys), 9)
	for _, k := range keys {
		require.Contains(t, page, "`"+k[1]+"`")
	}
}
