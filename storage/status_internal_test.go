package storage

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// One store that cannot be read is shown as that, one that is gone is left out,
// and the others are there.
func TestListOfUnreadableStores(t *testing.T) {
	list, layers := listOf([]string{"broken", "gone", "good", "taken"}, func(name string) (*Status, []string, error) {
		switch name {
		case "broken":
			return nil, nil, errors.New("no memory")
		case "gone":
			return nil, nil, because(dm.ErrNotFound, ErrNotFound, "", "no such store is live")
		case "taken":
			return nil, nil, refuse(ErrInvalid, "", "a mapping of another program")
		}
		s := newStatus(name)
		s.State = StateMapped
		return s, []string{"dm-1"}, nil
	})
	require.Len(t, list, 2)
	require.Equal(t, [][]string{nil, {"dm-1"}}, layers)
	require.Equal(t, StateIncomplete, list[0].State)
	require.Equal(t, []string{"cannot be read: no memory"}, list[0].Problems)
	require.Equal(t, StateMapped, list[1].State)
	require.Equal(t, "good", list[1].Name)
}

func TestLayerOfAMapping(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	for uuid, kind := range map[string]string{
		"CRYPT-LUKS2-" + id + "-x":           "crypt",
		"CRYPT-LUKS2-" + id + "-renamed":     "crypt",
		"CRYPT-INTEGRITY-" + id + "-x_dif":   "integrity",
		"CRYPT-SUBDEV-" + id + "-x_dif":      "integrity",
		"CRYPT-SUBDEV-" + id + "-x_data":     "data",
		"CRYPT-SUBDEV-" + id + "-x-overlay":  "",
		"CRYPT-LUKS1-" + id + "-x":           "",
		"CRYPT-PLAIN-x":                      "",
		"CRYPT-INTEGRITY-x_dif":              "", // integritysetup's
		"CRYPT-INTEGRITY-" + id:              "",
		"CRYPT-SUBDEV-" + id[1:] + "z-x_dif": "",
		"CRYPT-LUKS2-":                       "",
		"LVM-" + id + id:                     "",
		"":                                   "",
	} {
		got := ""
		for name, layer := range map[string]layerKind{"crypt": cryptLayer, "integrity": integrityLayer, "data": dataLayer} {
			if volume, ours := layer.volume(dm.Info{UUID: uuid}); ours && strings.HasSuffix(uuid, layer.suffix) {
				got = name
				require.Equal(t, "01234567-89ab-cdef-0123-456789abcdef", volume.String())
			}
		}
		require.Equal(t, kind, got, uuid)
	}
}
