package cryptsetup

import (
	"context"
	"encoding/binary"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// pbkdf2SHA256 derives size bytes from a password, as RFC 8018 section 5.2
// defines it with HMAC-SHA256. Packages that offer this take the password as a
// string, which cannot be wiped. It gives up when ctx ends.
func pbkdf2SHA256(ctx context.Context, password, salt []byte, iterations, size int) ([]byte, error) {
	prf := newHMAC(password)
	defer prf.wipe()
	out := make([]byte, 0, size+hmacSize)
	u := make([]byte, 0, hmacSize)
	defer func() { secret.Zero(u[:cap(u)]) }()
	for block := uint32(1); len(out) < size; block++ {
		u = prf.sum(u[:0], salt, binary.BigEndian.AppendUint32(nil, block))
		out = append(out, u...)
		t := out[len(out)-hmacSize:]
		for i := range iterations - 1 {
			if i%uninterrupted == 0 && ctx.Err() != nil {
				secret.Zero(out)
				return nil, context.Cause(ctx)
			}
			u = prf.sum(u[:0], u)
			for i := range t {
				t[i] ^= u[i]
			}
		}
	}
	secret.Zero(out[size:])
	return out[:size:size], nil
}

// uninterrupted iterations take some milliseconds.
const uninterrupted = 4096
