package handover

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const verity = `{"hashtype":"sha256","hash":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",` +
	`"blocknum":8,"blocksize":512,"hashsize":4096,"offset":4096}`

// One valid volume of each type.
var valid = map[Type]string{
	DirectBlock:     `{"volume_type":"direct_block","source":"/dev/sdb","fs_type":"ext4","options":["ro"],"direct_volume":{"metadata":{"k":"v"}}}`,
	ImageRawBlock:   `{"volume_type":"image_raw_block","source":"/img","fs_type":"erofs","options":["ro"],"dm_verity":` + verity + `}`,
	LayerRawBlock:   `{"volume_type":"layer_raw_block","source":"/img","fs_type":"erofs"}`,
	ImageNydusBlock: `{"volume_type":"image_nydus_block","source":"/boot","fs_type":"rafsv6","nydus_image":{"config":"{}","snapshot_dir":"/s"}}`,
	LayerNydusBlock: `{"volume_type":"layer_nydus_block","source":"/boot","fs_type":"rafsv6","nydus_image":{"config":"{}","snapshot_dir":"/s"},"dm_verity":` + verity + `}`,
	ImageNydusFS:    `{"volume_type":"image_nydus_fs","source":"/boot","fs_type":"rafsv5","nydus_image":{"config":"{}","snapshot_dir":"/s"}}`,
	LayerNydusFS:    `{"volume_type":"layer_nydus_fs","source":"/boot","fs_type":"rafsv6","nydus_image":{"config":"{}","snapshot_dir":"/s"}}`,
	ImageGuestPull:  fromSnapshotter,
}

// Every type is recognised; all but guest pull are refused by their name.
func TestTypes(t *testing.T) {
	require.Len(t, valid, len(rules))
	for kind, text := range valid {
		t.Run(string(kind), func(t *testing.T) {
			all, err := ParseMount([]string{option(text)})
			require.NoError(t, err)
			require.Equal(t, kind, all[0].Type)
			_, err = FromMount([]string{option(text)}, map[string]string{imageNameKeys[0]: image})
			if kind == ImageGuestPull {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrUnsupported)
			require.ErrorContains(t, err, string(kind))
		})
	}
}

// Everything that was handed over is there.
func TestFields(t *testing.T) {
	v, err := Parse([]byte(valid[DirectBlock]))
	require.NoError(t, err)
	require.Equal(t, Volume{Type: DirectBlock, Source: "/dev/sdb", FSType: "ext4", Options: []string{"ro"}, Metadata: map[string]string{"k": "v"}}, v)
	v, err = Parse([]byte(valid[LayerNydusBlock]))
	require.NoError(t, err)
	require.Equal(t, &Nydus{Config: "{}", SnapshotDir: "/s"}, v.Nydus)
	require.Equal(t, &Verity{HashType: "sha256", Hash: strings.Repeat("0123456789abcdef", 4), Blocks: 8, BlockSize: 512, HashSize: 4096, Offset: 4096}, v.Verity)
}

// Layers may be several, in their order.
func TestSeveralLayers(t *testing.T) {
	second := strings.Replace(valid[LayerRawBlock], "/img", "/two", 1)
	all, err := ParseMount([]string{option(valid[LayerRawBlock]), "ro", option(second)})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "/two", all[1].Source)
}

func TestVolumeRefused(t *testing.T) {
	with := func(k Type, from, to string) string {
		text := strings.Replace(valid[k], from, to, 1)
		if text == valid[k] {
			panic(fmt.Sprintf("%q is not in the volume of type %s", from, k))
		}
		return text
	}
	for _, c := range []struct {
		name, text string
		err        error
		says       string
	}{
		{"empty", ``, ErrMalformed, "not a JSON object"},
		{"list", `[]`, ErrMalformed, "not a JSON object"},
		{"text", `"x"`, ErrMalformed, "not a JSON object"},
		{"null", `null`, ErrMalformed, "not a JSON object"},
		{"cut", `{"volume_type":"image_guest_pull"`, ErrMalformed, ""},
		{"cut string", `{"volume_type":"image_`, ErrMalformed, ""},
		{"two", fromSnapshotter + fromSnapshotter, ErrMalformed, "behind"},
		{"text behind", fromSnapshotter + "x", ErrMalformed, "behind"},
		{"not UTF-8", "{\"volume_type\":\"\xff\"}", ErrMalformed, "UTF-8"},
		{"too long", strings.Repeat(" ", MaxBytes) + "{}", ErrTooLong, "1048578 bytes"},
		{"no members", `{}`, ErrInvalid, "volume_type is missing"},
		{"unknown type", `{"volume_type":"ignore"}`, ErrUnknownType, `"ignore"`},
		{"unknown member", `{"volume_type":"image_guest_pull","x":1}`, ErrMalformed, `member "x": malformed: it is not known`},
		{"long unknown member", `{"` + strings.Repeat("x", 9999) + `":1}`, ErrMalformed, strings.Repeat("x", 64) + "…"},
		{"other spelling", with(ImageGuestPull, `"source"`, `"Source"`), ErrMalformed, `member "Source"`},
		{"repeated member", with(ImageGuestPull, `{`, `{"source":"a",`), ErrMalformed, `member "source": malformed: it is repeated`},
		{"null source", with(ImageGuestPull, `"`+image+`"`, `null`), ErrMalformed, "it is null"},
		{"number for a string", with(ImageGuestPull, `"`+image+`"`, `7`), ErrMalformed, "not a string"},
		{"string for a list", with(DirectBlock, `["ro"]`, `"ro"`), ErrMalformed, "not a list"},
		{"null in a list", with(DirectBlock, `["ro"]`, `["ro",null]`), ErrMalformed, "item 1: not a string"},
		{"list for metadata", with(DirectBlock, `{"k":"v"}`, `[]`), ErrMalformed, "not a JSON object"},
		{"repeated label", with(DirectBlock, `{"k":"v"}`, `{"k":"v","k":"w"}`), ErrMalformed, `member "direct_volume": member "metadata": member "k"`},
		{"number as a label", with(DirectBlock, `"v"`, `1`), ErrMalformed, "not a string"},
		{"deep", `{"options":` + strings.Repeat("[", 20000), ErrMalformed, ""},
		{"no image_pull", `{"volume_type":"image_guest_pull","source":"a:1"}`, ErrInvalid, "image_guest_pull: image_pull is missing"},
		{"image_pull of a block", with(LayerRawBlock, `{`, `{"image_pull":{},`), ErrInvalid, "layer_raw_block: image_pull does not belong there"},
		{"no source", with(ImageRawBlock, `"/img"`, `""`), ErrInvalid, "image_raw_block: source is missing"},
		{"no fs_type", with(DirectBlock, `"ext4"`, `""`), ErrInvalid, "direct_block: fs_type is missing"},
		{"wrong fs_type", with(ImageNydusBlock, `rafsv6`, `rafsv5`), ErrInvalid, `fs_type "rafsv5", expected rafsv6`},
		{"wrong fs_type of two", with(ImageNydusFS, `rafsv5`, `ext4`), ErrInvalid, "expected rafsv5 or rafsv6"},
		{"nydus without config", with(ImageNydusFS, `"{}"`, `""`), ErrInvalid, "needs config and snapshot_dir"},
		{"no nydus_image", with(LayerNydusFS, `,"nydus_image":{"config":"{}","snapshot_dir":"/s"}`, ``), ErrInvalid, "nydus_image is missing"},
		{"verity of guest pull", with(ImageGuestPull, `{`, `{"dm_verity":`+verity+`,`), ErrInvalid, "dm_verity does not belong there"},
		{"hash type", with(ImageRawBlock, `"sha256"`, `"md5"`), ErrInvalid, `dm_verity: hashtype "md5"`},
		{"hash", with(ImageRawBlock, `0123`, `012x`), ErrInvalid, "64 hexadecimal digits"},
		{"short hash", with(ImageRawBlock, `sha256`, `sha1`), ErrInvalid, "40 hexadecimal digits"},
		{"no blocks", with(ImageRawBlock, `:8`, `:0`), ErrInvalid, "blocknum 0"},
		{"too many blocks", with(ImageRawBlock, `:8`, `:4294967296`), ErrInvalid, "blocknum 4294967296"},
		{"negative", with(ImageRawBlock, `:8`, `:-8`), ErrMalformed, "not a whole number"},
		{"fraction", with(ImageRawBlock, `:8`, `:8.0`), ErrMalformed, "not a whole number"},
		{"block size", with(ImageRawBlock, `:512`, `:513`), ErrInvalid, "block size 513"},
		{"no hash size", with(ImageRawBlock, `"hashsize":4096`, `"hashsize":0`), ErrInvalid, "block size 0"},
		{"offset in the data", with(ImageRawBlock, `"offset":4096`, `"offset":0`), ErrInvalid, "offset 0"},
		{"offset between blocks", with(ImageRawBlock, `"offset":4096`, `"offset":4608`), ErrInvalid, "offset 4608"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			require.ErrorIs(t, err, c.err)
			require.ErrorContains(t, err, c.says)
		})
	}
}
