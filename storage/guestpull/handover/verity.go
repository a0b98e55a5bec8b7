package handover

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// Verity is the dm-verity of a block volume.
type Verity struct {
	HashType  string // sha256 or sha1
	Hash      string // of the root, in hexadecimal
	Blocks    uint64 // of data
	BlockSize uint64 // of data, in bytes
	HashSize  uint64 // size of a hash block, in bytes
	Offset    uint64 // of the hash tree, in bytes
}

const (
	minVerityBlock = 1 << 9
	maxVerityBlock = 1 << 19
)

// hashDigits are the hexadecimal digits of a root hash.
var hashDigits = map[string]int{"sha256": 64, "sha1": 40}

func verityMember(to **Verity) member {
	return func(raw []byte) error {
		v := &Verity{}
		*to = v
		return parse(raw, object{
			"hashtype": stringTo(&v.HashType), "hash": stringTo(&v.Hash), "blocknum": numberTo(&v.Blocks),
			"blocksize": numberTo(&v.BlockSize), "hashsize": numberTo(&v.HashSize), "offset": numberTo(&v.Offset),
		})
	}
}

func (v *Verity) check() error {
	digits, known := hashDigits[strings.ToLower(v.HashType)]
	if !known {
		return fmt.Errorf("hashtype %q, expected sha256 or sha1", v.HashType)
	}
	if _, err := hex.DecodeString(v.Hash); err != nil || len(v.Hash) != digits {
		return fmt.Errorf("hash is not %d hexadecimal digits", digits)
	}
	if v.Blocks == 0 || v.Blocks > math.MaxUint32 {
		return fmt.Errorf("blocknum %d, expected 1 to %d", v.Blocks, uint32(math.MaxUint32))
	}
	for _, size := range []uint64{v.BlockSize, v.HashSize} {
		if size < minVerityBlock || size > maxVerityBlock || bits.OnesCount64(size) != 1 {
			return fmt.Errorf("block size %d, expected a power of two, %d to %d", size, minVerityBlock, maxVerityBlock)
		}
	}
	if v.Offset%v.HashSize != 0 || v.Offset < v.BlockSize*v.Blocks {
		return fmt.Errorf("offset %d is not a hash block behind the %d bytes of data", v.Offset, v.BlockSize*v.Blocks)
	}
	return nil
}
