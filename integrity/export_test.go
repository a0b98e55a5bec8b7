package integrity

import (
	"context"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// ActivateUnchecked activates without reading the superblock first, as if a host
// had shown another one at that moment.
func ActivateUnchecked(ctx context.Context, m Mapping) error {
	return m.activate(ctx, func() error { return nil })
}

// CheckStatus compares the kernel's status of a mapping with a layout.
func CheckStatus(l Layout, status dm.IntegrityStatus) error {
	return Mapping{Layout: l}.checkStatus(status)
}
