package cryptsetup

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// goldenHeader has two key slots, not in order, and nothing that is random.
func goldenHeader(t *testing.T) (*Header, *VolumeKey) {
	t.Helper()
	secret := make([]byte, 96)
	for i := range secret {
		secret[i] = byte(i)
	}
	key, err := MoveVolumeKey(secret, HMACSHA256)
	require.NoError(t, err)
	t.Cleanup(key.Wipe)
	d := digest{iterations: minIterations, salt: bytes.Repeat([]byte{1}, saltSize)}
	d.sum, err = d.of(t.Context(), key.Bytes())
	require.NoError(t, err)
	slot := func(id, place int, fill byte) Keyslot {
		return Keyslot{ID: id, KDF: PBKDF2{Iterations: 1000 + uint32(id)}, Offset: int64(areaOffset(HMACSHA256, place)), Size: areaSizeHMAC,
			salt: bytes.Repeat([]byte{fill}, saltSize), area: bytes.Repeat([]byte{fill}, areaSizeHMAC)}
	}
	h := &Header{uuid: uuid.MustParse("0f9b4f4e-1d55-4c69-8c5b-0d5b7f0c2a11"), seqID: 7,
		meta: metadata{keyslots: []Keyslot{slot(5, 0, 0xaa), slot(2, 1, 0xbb)}, digest: d}}
	copy(h.labels.label[:], "a label")
	return h, key
}

// What the token holds, once more, from the description and by other means.
const goldenJSON = `{"keyslots":{` +
	`"2":{"type":"luks2","key_size":96,"af":{"type":"luks1","stripes":4000,"hash":"sha256"},"area":{"type":"raw","offset":"417792","size":"385024","encryption":"aes-xts-plain64","key_size":64},"kdf":{"type":"pbkdf2","hash":"sha256","iterations":1002,"salt":"u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7s="}},` +
	`"5":{"type":"luks2","key_size":96,"af":{"type":"luks1","stripes":4000,"hash":"sha256"},"area":{"type":"raw","offset":"32768","size":"385024","encryption":"aes-xts-plain64","key_size":64},"kdf":{"type":"pbkdf2","hash":"sha256","iterations":1005,"salt":"qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo="}}},` +
	`"tokens":{"0":{"type":"trusted-store-header","keyslots":[],"version":1,"epoch":"42","mac":""}},` +
	`"segments":{"0":{"type":"crypt","offset":"16777216","size":"dynamic","iv_tweak":"0","encryption":"aes-xts-plain64","sector_size":4096,"integrity":{"type":"hmac(sha256)","journal_encryption":"none","journal_integrity":"none"}}},` +
	`"digests":{"0":{"type":"pbkdf2","keyslots":["2","5"],"segments":["0"],"hash":"sha256","iterations":1000,"salt":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","digest":"DIGEST"}},` +
	`"config":{"json_size":"12288","keyslots_size":"16744448"}}`

func TestHeaderTokenOnEveryCPU(t *testing.T) {
	h, key := goldenHeader(t)
	require.NoError(t, h.Authenticate(key, 41))
	require.EqualValues(t, 42, h.Epoch())

	text := strings.Replace(goldenJSON, "DIGEST", base64.StdEncoding.EncodeToString(h.meta.digest.sum), 1)
	message := []byte("trusted-store header 1\x00")
	message = append(message, h.uuid[:]...)
	message = append(message, "a label"...)
	message = append(message, make([]byte, 48-7+48)...)
	message = binary.BigEndian.AppendUint64(message, uint64(len(text)))
	message = append(message, text...)
	for _, fill := range []byte{0xbb, 0xaa} {
		sum := sha256.Sum256(bytes.Repeat([]byte{fill}, 385024))
		message = append(message, sum[:]...)
	}
	macKey, err := hkdf.Key(sha256.New, key.Bytes(), nil, "trusted-store header authentication 1", 32)
	require.NoError(t, err)
	mac := hmac.New(sha256.New, macKey)
	mac.Write(message)
	require.Equal(t, hex.EncodeToString(mac.Sum(nil)), hex.EncodeToString(h.meta.token.mac))

	volume, err := hkdf.Key(sha256.New, key.Bytes(), nil, "trusted-store volume fingerprint 1", 32)
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(volume), key.Fingerprint())

	// Neither this test nor the code may drift: volumes that are out there have these.
	require.Equal(t, "eebe58884fe37d46bae2abd2c24ad78cc96710a0902941125c2abbb59fe5a782", hex.EncodeToString(h.meta.token.mac))
	require.Equal(t, "40ac20d5d6dcc69e8fe90c21a1c9475a133391d26dbe10f9aaa18bbe04a9e89b", hex.EncodeToString(func() []byte { f := key.Fingerprint(); return f[:] }()))
}

// RFC 5869, test case 3: no salt and no info; the first 32 bytes of its output.
func TestHKDFOnEveryCPU(t *testing.T) {
	require.Equal(t, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d", hex.EncodeToString(hkdfSHA256(bytes.Repeat([]byte{0x0b}, 22), "")))
}

// FuzzToken: a token is what it encodes to, or rejected; and one that is not the header's
// authenticates nothing.
func FuzzToken(f *testing.F) {
	key, err := NewVolumeKey(None)
	require.NoError(f, err)
	defer key.Wipe()
	h, err := New(key, Options{Integrity: None})
	require.NoError(f, err)
	require.NoError(f, h.Authenticate(key, 0))
	right, _, _ := strings.Cut(string(h.image[binarySize:copySize]), "\x00")
	before, rest, _ := strings.Cut(right, `"tokens":`)
	tokens, after, _ := strings.Cut(rest, `,"segments":`)
	f.Add(tokens)
	f.Add(`{}`)
	f.Add(strings.Replace(tokens, `"epoch":"1"`, `"epoch":"2"`, 1))
	f.Add(`{"0":{"type":"trusted-store-header","keyslots":[],"version":1,"epoch":"9223372036854775807","mac":""}}`)
	region := make([]byte, regionSize)
	f.Fuzz(func(t *testing.T, tokens string) {
		copy(region, fuzzHeader([]byte(before+`"tokens":`+tokens+`,"segments":`+after), nil))
		got, err := Read(bytes.NewReader(region), Profile{Integrity: RequireNone})
		if err != nil {
			require.ErrorIs(t, err, ErrHeaderRejected)
			return
		}
		requireSameJSON(t, []byte(before+`"tokens":`+tokens+`,"segments":`+after), got.meta.encode())
		got.uuid = h.uuid // fuzzHeader has its own
		switch err := got.CheckAuthentic(key, Authentication{MinEpoch: 1}); {
		case got.meta.token == nil:
			require.ErrorIs(t, err, ErrNotAuthenticated)
		case err == nil:
			require.Equal(t, h.meta.token, got.meta.token)
		default:
			require.ErrorIs(t, err, ErrHeaderChanged)
		}
	})
}
