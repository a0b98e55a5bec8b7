package dm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// Mappings of other programs are read without a copy of their key, and what is
// not ours cannot be loaded.
func TestForeignTargets(t *testing.T) {
	key := strings.Repeat("5a", 32)
	for text, want := range map[string]dm.Target{
		"crypt aes-xts-plain64 " + key + " 0 7:3 4096": dm.Crypt{Cipher: dm.XTSPlain64, KeySize: 32, Device: below, Offset: 4096, Foreign: dm.CryptForeign{KeyInTable: true}},
		"crypt cipher_null-ecb - 0 7:3 0":              dm.Crypt{Device: below, Foreign: dm.CryptForeign{Cipher: "cipher_null-ecb"}},
		"crypt aes-cbc-essiv:sha256 :32:user:a:b 0 7:3 0 2 new_option:1 allow_discards": dm.Crypt{KeySize: 32, KeyDescription: "a:b", Device: below, AllowDiscards: true,
			Foreign: dm.CryptForeign{Cipher: "aes-cbc-essiv:sha256", KeyType: "user", Options: "new_option:1"}},
		"integrity 7:3 0 4 J 3 internal_hash:hmac(sha256):" + key + " block_size:512 recalculate": dm.Integrity{Device: below, TagSize: 4, Mode: 'J', BlockSize: 512, Foreign: "internal_hash:hmac(sha256) recalculate"},
		"striped 2 256 7:3 0 7:4 0": dm.Unknown{Name: "striped", Text: "2 256 7:3 0 7:4 0"},
	} {
		kind, params, _ := strings.Cut(text, " ")
		got := dm.ParseTarget(kind, []byte(params))
		require.Equal(t, want, got, text)
		require.NotContains(t, fmt.Sprintf("%v %+v %s", got, got, got.Params()), "5a5a", "a key is shown")
		_, err := dm.Table{{Length: 8, Target: got}}.Encode()
		require.ErrorIs(t, err, dm.ErrInvalidTable, text)
	}
}

func TestUnreadableTargets(t *testing.T) {
	for _, text := range []string{
		"linear ", "linear 7:3", "linear 7 0", "linear 7:3 -1", "linear 7:3 0 0", "linear /dev/sda 0",
		"integrity 7:3 0 32", "integrity 7:3 0 32 JD 0", "integrity 7:3 0 32 J 2 fix_padding", "integrity 7:3 0 32 J 2 fix_padding fix_padding", "integrity 7:3 0 x J 0",
		"crypt aes-xts-plain64", "crypt aes-xts-plain64 :64:logon 0 7:3 0", "crypt aes-xts-plain64 :x:logon:a:b 0 7:3 0", "crypt aes-xts-plain64 - x 7:3 0", "crypt aes-xts-plain64 - 0 7:3 0 1",
	} {
		kind, params, _ := strings.Cut(text, " ")
		got, ok := dm.ParseTarget(kind, []byte(params)).(dm.Unknown)
		require.True(t, ok, "%q was read: %v", text, got)
		require.Error(t, got.Err, text)
		require.Empty(t, got.Text, "may hold a key")
		require.Contains(t, got.Params(), "cannot be read")
	}
}

func TestIntegrityStatus(t *testing.T) {
	for text, want := range map[string]dm.IntegrityStatus{
		"0 97264 -":      {ProvidedSectors: 97264},
		"7 97264 0":      {Mismatches: 7, ProvidedSectors: 97264, Recalculating: true},
		"0 97264 - more": {ProvidedSectors: 97264}, // that a later kernel may add
	} {
		got, err := dm.ParseIntegrityStatus(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "0", "0 97264", "x 97264 -", "0 -1 -"} {
		_, err := dm.ParseIntegrityStatus(text)
		require.Error(t, err, text)
	}
}

// What can be read is written as something that is read as the same.
func FuzzTargets(f *testing.F) {
	for _, s := range spoken {
		f.Add(s.target.Kind(), []byte(s.text))
	}
	f.Add("crypt", []byte("aes-cbc-essiv:sha256 :32:user:a:b 9 7:3 8 3 new_option:1 allow_discards high_priority"))
	f.Add("integrity", []byte("7:3 0 4 B 3 sectors_per_bit:32768 internal_hash:crc32c recalculate"))
	f.Add("integrity", []byte("0:0 0 1 \xd0"))
	f.Fuzz(func(t *testing.T, kind string, text []byte) {
		target := dm.ParseTarget(kind, text)
		if crypt, ok := target.(dm.Crypt); ok && crypt.Foreign.KeyInTable {
			return // the key is left out
		}
		if unknown, ok := target.(dm.Unknown); ok && unknown.Err != nil {
			return
		}
		again := dm.ParseTarget(target.Kind(), []byte(target.Params()))
		table := dm.Table{{Length: 8, Target: target}}
		if err := table.Matches(dm.Table{{Length: 8, Target: again}}); err != nil {
			t.Fatalf("%s %q: %v", kind, text, err)
		}
		if b, err := table.Encode(); err == nil && !strings.Contains(string(b), target.Params()+"\x00") {
			t.Fatalf("%s %q is loaded as %q", kind, text, b)
		}
	})
}
