package cryptsetup

import (
	"crypto/aes"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/xts"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// areaSector is the unit in which a key-slot area is encrypted, numbered from
// the start of the area.
const areaSector = 512

// sealArea wraps a volume key under the key of a slot. What the split does not
// fill of the area is random.
func sealArea(slotKey, volumeKey []byte, size int64) ([]byte, error) {
	area := make([]byte, size)
	split := area[:afStripes*len(volumeKey)]
	if err := afSplit(split, volumeKey); err != nil {
		return nil, fmt.Errorf("split the volume key: %w", err)
	}
	if _, err := rand.Read(area[len(split):]); err != nil {
		return nil, fmt.Errorf("fill the key-slot area: %w", err)
	}
	c, err := xts.NewCipher(aes.NewCipher, slotKey)
	if err != nil {
		secret.Zero(area)
		return nil, fmt.Errorf("encrypt the key-slot area: %w", err)
	}
	for i := 0; i < len(split); i += areaSector {
		c.Encrypt(split[i:i+areaSector], split[i:i+areaSector], uint64(i/areaSector))
	}
	return area, nil
}

// openArea writes what an area holds under a slot's key into volumeKey. With
// the wrong key that is noise; only the digest tells.
func openArea(volumeKey, slotKey, area []byte) error {
	c, err := xts.NewCipher(aes.NewCipher, slotKey)
	if err != nil {
		return fmt.Errorf("decrypt the key-slot area: %w", err)
	}
	split := make([]byte, afStripes*len(volumeKey))
	defer secret.Zero(split)
	for i := 0; i < len(split); i += areaSector {
		c.Decrypt(split[i:i+areaSector], area[i:i+areaSector], uint64(i/areaSector))
	}
	afMerge(volumeKey, split)
	return nil
}
