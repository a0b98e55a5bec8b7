package storage

import (
	"crypto/rand"
	"strings"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// NamePrefix begins the name of every mapping that is not named by the caller.
const NamePrefix = "encrypted_disk_"

// integritySuffix ends the name of the integrity layer's mapping, as
// cryptsetup names it.
const integritySuffix = "_dif"

// dataSuffix ends the name of the mapping below the integrity layer's.
const dataSuffix = integrity.BelowSuffix

// newSuffix ends the name of the mapping through which [Resize] writes to what a live
// store has not yet.
const newSuffix = "_new"

// randomName returns "encrypted_disk_" and five random letters or digits.
func randomName() string {
	return NamePrefix + rand.Text()[:5]
}

// maxName is the longest name in bytes: the kernel's UUID of the integrity layer,
// 128 bytes at most, is CRYPT-INTEGRITY-, 32 digits, a dash and the layer's name.
const maxName = 128 - len(integrityPrefix) - 32 - 1 - len(integritySuffix)

// checkName accepts what is a good name for all mappings.
func checkName(name string) error {
	err := dm.ValidName(name)
	if err == nil && (strings.HasPrefix(name, "-") || len(name) > maxName) {
		err = dm.ErrInvalidName
	}
	if err != nil {
		return refuse(ErrInvalid, "a name has 1 to 75 letters, digits or _ . + - : = @ #, and does not begin with -", "name %.140q: %w", name, err)
	}
	return nil
}
