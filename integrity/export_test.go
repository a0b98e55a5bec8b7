package integrity

import "github.com/trusted-store/trusted-store/internal/dm"

// CheckStatus compares the kernel's status of a mapping with a layout.
func CheckStatus(l Layout, status dm.IntegrityStatus) error {
	return Mapping{Layout: l}.checkStatus(status)
}
