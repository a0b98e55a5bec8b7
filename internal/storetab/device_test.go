package storetab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file that a device has in sysfs, and what it holds.
type attributes map[string]string

func sysfs(t *testing.T, devices map[string]attributes) string {
	t.Helper()
	dir := t.TempDir()
	for name, files := range devices {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name, "device"), 0o755))
		for file, text := range files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name, file), []byte(text), 0o644))
		}
	}
	return dir
}

func TestFind(t *testing.T) {
	dir := sysfs(t, map[string]attributes{
		"vda":      {"serial": "virtio"},
		"vda1":     {"serial": "virtio", "partition": "1", "uevent": "DEVNAME=vda1\nPARTNAME=scratch\n"},
		"vda2":     {"partition": "2", "uevent": "PARTNAME=scratch two\n"},
		"nvme0n1":  {"device/serial": "nvme                \n"},
		"sda":      {"device/vpd_pg80": "\x00\x80\x00\x08  scsi  "},
		"sdb":      {"device/vpd_pg80": "\x00\x80\x00\x00"},
		"cciss!c0": {"serial": "old"},
		"sdc":      {"serial": "twice"},
		"sdd":      {"device/serial": "twice"},
		"loop0":    {},
	})
	for spec, want := range map[string]string{
		"SERIAL=virtio": "/dev/vda", "SERIAL=nvme": "/dev/nvme0n1", "SERIAL=scsi": "/dev/sda", "SERIAL=old": "/dev/cciss/c0",
		"PARTLABEL=scratch": "/dev/vda1",
	} {
		d, err := parseDevice(spec)
		require.NoError(t, err)
		found, err := d.findIn(dir)
		require.NoError(t, err, spec)
		require.Equal(t, want, found)
	}
	for _, absent := range []Device{{Serial, "scratch"}, {PartitionLabel, "virtio"}, {PartitionLabel, "scratc"}, {Value: filepath.Join(dir, "none")}} {
		_, err := absent.findIn(dir)
		require.ErrorIs(t, err, ErrNotFound)
	}
	_, err := Device{Serial, "twice"}.findIn(dir)
	require.EqualError(t, err, "SERIAL=twice is that of several devices: /dev/sdc, /dev/sdd")
	require.NotErrorIs(t, err, ErrNotFound)
	_, err = Device{Serial, "a"}.findIn(filepath.Join(dir, "none"))
	require.Error(t, err)
}
