package cryptsetup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/testdata/luks2/vector"
)

const vectorRoot = "../testdata/luks2"

func loadVectors(t testing.TB, dir string) []*vector.Vector {
	t.Helper()
	all, err := vector.Load(filepath.Join(vectorRoot, dir))
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func vectorDevice(t testing.TB, v *vector.Vector) []byte {
	t.Helper()
	b, err := v.Device(vectorRoot)
	require.NoError(t, err)
	return b
}

func vectorProfile(t testing.TB, v *vector.Vector) cryptsetup.Profile {
	t.Helper()
	p := cryptsetup.Profile{MaxArgon2Memory: v.MaxArgon2Memory}
	switch v.Integrity {
	case "hmac-sha256":
	case "none":
		p.Integrity = cryptsetup.RequireNone
	case "aead":
		p.Integrity = cryptsetup.RequireAEAD
	case "any":
		p.Integrity = cryptsetup.AnyIntegrity
	default:
		t.Fatalf("integrity %q", v.Integrity)
	}
	return p
}

func TestGoodVectorsAreAcceptedAndUnlock(t *testing.T) {
	for _, v := range loadVectors(t, "good") {
		t.Run(v.Name, func(t *testing.T) {
			b, p := vectorDevice(t, v), vectorProfile(t, v)
			h, err := cryptsetup.Read(bytes.NewReader(b), p)
			require.NoError(t, err)
			require.True(t, cryptsetup.Inspect(b, p).Accepted)
			require.Equal(t, sha256.Sum256(b[:32768]), h.Fingerprint())
			if len(v.Key) == 0 {
				return
			}
			key, slot, err := h.Unlock(t.Context(), v.Key)
			require.NoError(t, err)
			defer key.Wipe()
			require.Equal(t, v.Slot, slot)
			sum := sha256.Sum256(key.Bytes())
			require.Equal(t, v.VolumeKeySHA256, sum[:])

			_, _, err = h.Unlock(t.Context(), append(v.Key, 'x'))
			require.ErrorIs(t, err, cryptsetup.ErrWrongKey)
		})
	}
}

// openVolume is what a caller does: read, then unlock.
func openVolume(b []byte, p cryptsetup.Profile, passphrase []byte) error {
	h, err := cryptsetup.Read(bytes.NewReader(b), p)
	if err != nil {
		return err
	}
	key, _, err := h.Unlock(context.Background(), passphrase)
	key.Wipe()
	return err
}

// slowest, of processor time, is far above what a header takes, and far below
// what its key derivation could be made to take.
const slowest = 500 * time.Millisecond

func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestHostileVectorsAreRejectedForTheirReason(t *testing.T) {
	seen := map[string]bool{}
	for _, dir := range []string{"hostile", "foreign"} {
		for _, v := range loadVectors(t, dir) {
			t.Run(dir+"/"+v.Name, func(t *testing.T) {
				b, p := vectorDevice(t, v), vectorProfile(t, v)
				for _, key := range [][]byte{v.Key, []byte("wrong"), {0}} {
					start := cpuTime(t)
					err := openVolume(b, p, key)
					require.Less(t, cpuTime(t)-start, slowest)
					require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected)
					require.Equal(t, v.Rules, rulesOf(t, err), "%v", err)
					require.Equal(t, slices.Contains(v.Rules, "header.none"), errors.Is(err, cryptsetup.ErrNoHeader))
				}
				require.False(t, cryptsetup.Inspect(b, p).Accepted)
				for _, r := range v.Rules {
					seen[r] = true
				}
			})
		}
	}
	if t.Failed() {
		return
	}
	for _, r := range cryptsetup.Rules() {
		if r != cryptsetup.RuleUUID && r != cryptsetup.RuleFingerprint { // the caller's wish, not the header's fault
			require.True(t, seen[r], "no vector breaks rule %s", r)
		}
	}
}

// rulesOf returns the distinct rules that an error names, sorted.
func rulesOf(t testing.TB, err error) []string {
	t.Helper()
	var rejected *cryptsetup.RejectedError
	require.ErrorAs(t, err, &rejected)
	var rules []string
	for _, v := range rejected.Violations {
		rules = append(rules, v.Rule)
	}
	slices.Sort(rules)
	return slices.Compact(rules)
}

func TestVectorsAreWhatTheGeneratorWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the generator: not with -short")
	}
	if bed := os.Getenv("TRUSTED_STORE_BED"); bed != "" && bed != "host" {
		t.Skip("needs the Go command: runs outside of a bed")
	}
	out, err := exec.Command("go", "run", "../testdata/luks2/generate", "-check", "-root", vectorRoot).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
