package dm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// What stores load: with and without a journal, and with the tags elsewhere.
var (
	direct = dm.Integrity{Device: below, Offset: 32768, TagSize: 32, Mode: 'D', BlockSize: 4096, FixPadding: true,
		JournalSectors: 264, InterleaveSectors: 32768, BufferSectors: 128}
	journaled = dm.Integrity{Device: below, Offset: 32768, TagSize: 32, Mode: 'J', BlockSize: 4096, FixPadding: true,
		JournalSectors: 264, InterleaveSectors: 32768, BufferSectors: 128, JournalWatermark: 50, CommitTime: 10000}
	separate = dm.Integrity{Device: below, TagSize: 32, Mode: 'D', BlockSize: 4096, MetaDevice: dm.Device{Major: 7, Minor: 9},
		JournalSectors: 264, InterleaveSectors: 1, BufferSectors: 128}
	authenticated = dm.Crypt{Cipher: dm.AuthencHMACSHA256XTSPlain64, KeySize: 96, KeyDescription: "cryptsetup:x-d0",
		Device: below, SectorSize: 4096, IntegrityTagSize: 32}
	aegis = dm.Crypt{Cipher: dm.AEGIS128Random, KeySize: 16, KeyDescription: "cryptsetup:x-d0",
		Device: below, SectorSize: 4096, IntegrityTagSize: 32}
	plain = dm.Crypt{Cipher: dm.XTSPlain64, KeySize: 64, KeyDescription: "cryptsetup:x-d0", Device: below, Offset: 32768, SectorSize: 4096}
)

const (
	cryptText = "capi:authenc(hmac(sha256),xts(aes))-plain64 :96:logon:cryptsetup:x-d0 0 7:3 0 2 integrity:32:aead sector_size:4096"
	aegisText = "capi:aegis128-random :16:logon:cryptsetup:x-d0 0 7:3 0 2 integrity:32:aead sector_size:4096"
	plainText = "aes-xts-plain64 :64:logon:cryptsetup:x-d0 0 7:3 32768 1 sector_size:4096"
)

// spoken are tables as kernels print them, of those that stores load.
var spoken = []struct {
	kernels string
	target  dm.Target
	text    string
}{
	{"6.1 6.12", direct, "7:3 32768 32 D 5 block_size:4096 journal_sectors:264 interleave_sectors:32768 buffer_sectors:128 fix_padding"},
	{"7.2 7.3", direct, "7:3 32768 32 D 4 block_size:4096 interleave_sectors:32768 buffer_sectors:128 fix_padding"},
	{"6.1 6.12", journaled, "7:3 32768 32 J 7 block_size:4096 journal_sectors:264 interleave_sectors:32768 buffer_sectors:128 journal_watermark:50 commit_time:10000 fix_padding"},
	{"7.2 7.3", journaled, "7:3 32768 32 J 7 block_size:4096 interleave_sectors:32768 buffer_sectors:128 journal_sectors:264 journal_watermark:50 commit_time:10000 fix_padding"},
	{"6.1 6.12", separate, "7:3 0 32 D 5 meta_device:7:9 block_size:4096 journal_sectors:264 interleave_sectors:1 buffer_sectors:128"},
	{"7.2 7.3", separate, "7:3 0 32 D 4 meta_device:7:9 block_size:4096 interleave_sectors:1 buffer_sectors:128"},
	{"6.1 6.12 7.2 7.3", authenticated, cryptText},
	{"6.1 6.12 7.2 7.3", plain, plainText},
	{"6.1 6.12 7.2 7.3", aegis, aegisText},
	{"6.1 6.12 7.2 7.3", dm.Linear{Device: below, Offset: 32768}, "7:3 32768"},
}

func live(kind, text string) dm.Table {
	return dm.Table{{Length: 8, Target: dm.ParseTarget(kind, []byte(text))}}
}

func TestWhatKernelsSayMatchesOnEveryCPU(t *testing.T) {
	for _, s := range spoken {
		table := dm.Table{{Length: 8, Target: s.target}}
		require.NoError(t, table.Matches(live(s.target.Kind(), s.text)), s.kernels)
		require.NoError(t, table.Matches(table), "itself")
	}
}

// The order of options, and a default that is said aloud, are no difference.
func TestOtherWordsMatch(t *testing.T) {
	for text, target := range map[string]dm.Target{
		"7:3 32768 32 D 5 fix_padding buffer_sectors:128 journal_sectors:264 interleave_sectors:32768 block_size:4096":                             direct,
		"7:3  32768 32 D 4 block_size:4096 interleave_sectors:32768 buffer_sectors:128 fix_padding ":                                               direct,
		"capi:authenc(hmac(sha256),xts(aes))-plain64 :96:logon:cryptsetup:x-d0 0 7:3 0 3 integrity:32:aead sector_size:4096 integrity_key_size:32": authenticated,
		"capi:authenc(hmac(sha256),xts(aes))-plain64 :96:logon:cryptsetup:x-d0 0 7:3 0 3 integrity_key_size:32 sector_size:4096 integrity:32:aead": authenticated,
		"aes-xts-plain64 :64:logon:a:b 0 7:3 0":                   dm.Crypt{Cipher: dm.XTSPlain64, KeySize: 64, KeyDescription: "a:b", Device: below},
		"aes-xts-plain64 :64:logon:a:b 0 7:3 0 1 sector_size:512": dm.Crypt{Cipher: dm.XTSPlain64, KeySize: 64, KeyDescription: "a:b", Device: below},
	} {
		require.NoError(t, dm.Table{{Length: 8, Target: target}}.Matches(live(target.Kind(), text)), text)
	}
}

func TestDifferencesAreFound(t *testing.T) {
	for _, s := range spoken {
		for _, wrong := range differing(s.target.Kind(), s.text) {
			err := dm.Table{{Length: 8, Target: s.target}}.Matches(live(s.target.Kind(), wrong))
			require.ErrorIs(t, err, dm.ErrTableDiffers, "%s: %s", s.kernels, wrong)
		}
	}
}

// differing returns the text with each word left out, changed or added that
// means something.
func differing(kind, text string) (texts []string) {
	words := strings.Fields(text)
	change := func(at int, word string) {
		changed := append([]string(nil), words...)
		changed[at] = word
		texts = append(texts, strings.Join(changed, " "))
	}
	for i, word := range words {
		name, number, valued := strings.Cut(word, ":")
		isOption := strings.Contains(word, "_") || name == "integrity"
		switch {
		case isOption && valued:
			change(i, name+":1"+number)
		case isOption:
			change(i, "x"+word)
		case !valued && strings.Trim(word, "0123456789") == "":
			change(i, "1"+word)
		default:
			change(i, "x"+word)
		}
		if unused := name == "journal_sectors" && strings.Contains(text, " D "); isOption && !unused {
			texts = append(texts, withOptions(words, func(options []string) []string {
				var left []string
				for _, o := range options {
					if o != word {
						left = append(left, o)
					}
				}
				return left
			}))
		}
	}
	if kind == "linear" {
		return append(texts, text+" 1")
	}
	for _, more := range []string{"allow_discards", "recalculate", "internal_hash:sha256", "commit_time:7", "iv_large_sectors", "integrity_key_size:16", "new_in_linux_9"} {
		if strings.Contains(text, more[:6]) {
			continue
		}
		texts = append(texts, withOptions(words, func(o []string) []string { return append(o, more) }))
	}
	return texts
}

// withOptions rewrites the options of a text and their number.
func withOptions(words []string, change func([]string) []string) string {
	fixed := map[bool]int{true: 5, false: 4}[strings.Contains(words[1], ":")] // crypt has a key there
	options := change(append([]string(nil), words[fixed+1:]...))
	return strings.Join(append(append([]string(nil), words[:fixed]...), strings.TrimSpace(fmt.Sprintf("%d %s", len(options), strings.Join(options, " ")))), " ")
}

func TestTableMatches(t *testing.T) {
	table := dm.Table{
		{Start: 0, Length: 8, Target: dm.Linear{Device: below, Offset: 1}},
		{Start: 8, Length: 16, Target: dm.Error{}},
	}
	live := func() dm.Table { return append(dm.Table(nil), table...) }
	require.NoError(t, table.Matches(live()))
	for name, change := range map[string]func(dm.Table) dm.Table{
		"no lines":     func(dm.Table) dm.Table { return nil },
		"fewer lines":  func(l dm.Table) dm.Table { return l[:1] },
		"other start":  func(l dm.Table) dm.Table { l[1].Start++; return l },
		"other length": func(l dm.Table) dm.Table { l[1].Length++; return l },
		"other kind":   func(l dm.Table) dm.Table { l[1].Target = dm.Zero{}; return l },
		"other params": func(l dm.Table) dm.Table { l[0].Target = dm.Linear{Device: below, Offset: 2}; return l },
		"unreadable":   func(l dm.Table) dm.Table { l[0].Target = dm.ParseTarget("linear", []byte("7:3 x")); return l },
	} {
		require.ErrorIs(t, table.Matches(change(live())), dm.ErrTableDiffers, name)
	}
}
