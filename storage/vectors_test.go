package storage_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
	"github.com/trusted-store/trusted-store/testdata/luks2/vector"
)

const vectorRoot = "../testdata/luks2"

// elsewhere begins the names of the headers with which other projects were broken.
var elsewhere = []string{
	"null-cipher", "segment-cipher-00", "segment-cipher-13", "keyslot-cipher-00", "keyslot-cipher-13", "integrity-removed",
	"config-flags-no-journal", "config-requirements-v2", "token-", "keyslot-type-reencrypt", "argon2-memory-07", "argon2-cpus-00",
	"pbkdf2-iterations-04", "digest-digest-00", "digest-digest-15", "area-same", "area-overlap", "area-offset-11", "area-size-05",
	"hdr-size-4194304", "copies-json-first", "first-zero", "second-zero", "duplicate-segment", "wrong-case-segment", "json-deep-objects",
}

// Hostile headers, on a device: Open refuses each for its reason, with the right
// key and a wrong one, and the kernel sees nothing of it. All of them in the long
// form; package cryptsetup always judges all.
func TestOpenRefusesVectors(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	seen := map[string]bool{}
	for _, dir := range []string{"hostile", "foreign"} {
		all, err := vector.Load(vectorRoot + "/" + dir)
		require.NoError(t, err)
		for i, v := range all {
			if len(v.Bytes) < vector.HeadersSize || slices.Contains(v.Rules, "keyslot.area.truncated") || v.Integrity == "any" {
				continue // a device does not end there; Open never lets the header choose
			}
			known := slices.IndexFunc(elsewhere, func(begin string) bool { return strings.HasPrefix(v.Name, begin) })
			if known >= 0 {
				seen[elsewhere[known]] = true
			}
			if known >= 0 || soak() || i%20 == 0 {
				t.Run(dir+"/"+v.Name, func(t *testing.T) { openRefusesVector(t, disk, v) })
			}
		}
	}
	require.Len(t, seen, len(elsewhere), "a vector was renamed")
}

func openRefusesVector(t *testing.T, disk string, v *vector.Vector) {
	region, err := v.Device(vectorRoot)
	require.NoError(t, err)
	storagetest.WriteBytes(t, disk, 0, region)
	opts := storage.OpenOptions{MaxArgon2Memory: v.MaxArgon2Memory}
	if v.Integrity == "none" {
		opts.Integrity = storage.NoIntegrity
	}
	if v.Integrity == "aead" {
		opts.Cipher = storage.AEGIS128
	}
	key := "right"
	if len(v.Key) > 0 {
		key = string(v.Key)
	}
	for _, err := range refused(t, disk, disk, key, opts, storage.ErrHeaderRejected) {
		var rejected *cryptsetup.RejectedError
		require.True(t, errors.As(err, &rejected), "%v", err)
		var rules []string
		for _, violation := range rejected.Violations {
			rules = append(rules, violation.Rule)
		}
		slices.Sort(rules)
		require.Equal(t, v.Rules, slices.Compact(rules))
	}
}
