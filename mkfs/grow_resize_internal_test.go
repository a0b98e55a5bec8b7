package mkfs

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// As the headers of each CPU have it.
func TestResizeRequest(t *testing.T) {
	want := uint32(0x40086610)
	switch runtime.GOARCH {
	case "ppc64", "ppc64le", "mips64", "mips64le":
		want = 0x80086610
	}
	require.EqualValues(t, want, resizeFS)
}
