package main

import (
	"context"
	"fmt"
)

// ciphers measures a store with each cipher, and what cryptsetup makes with the
// default one, in turns: one large file and small files through the filesystem, as a
// pull writes them.
func ciphers(ctx context.Context, in *inside) error {
	d, err := in.workDisk()
	if err != nil {
		return err
	}
	if err := d.warm(); err != nil {
		return err
	}
	p, err := in.peer(cheapSide)
	if err != nil {
		return err
	}
	aegis := in.grown()
	aegis.title, aegis.cipher = aegisSide, "aegis128"
	return in.turns(ctx, []side{p, in.grown(), aegis}, d.bytes, func(s side) (map[string]float64, error) {
		values, err := in.load(ctx, s, d)
		return map[string]float64{"cipher-write": values["write"], "cipher-read": values["read"], "cipher-small": values["small"]}, err
	})
}

// cipherRows begin with what the others are compared with.
var cipherRows = []column{{cheapSide, "cryptsetup, aes-xts-plain64 and hmac-sha256"}, {oursSide, "trusted-store, the same cipher"}, {aegisSide, "trusted-store, `--cipher aegis128`"}}

func (t *table) ciphers(r *results, run string) {
	if len(r.of(run, "cipher-write", aegisSide, 0)) == 0 {
		return
	}
	fmt.Fprintf(t, "\nCiphers, at full size, disk of %s; in brackets, how many times that is cryptsetup's:\n\n", bytesText(r.size(run, "cipher-write")))
	t.head("", "write MB/s", "read MB/s", "small files/s")
	for _, c := range cipherRows {
		row := []string{c.title}
		for _, measure := range []string{"cipher-write", "cipher-read", "cipher-small"} {
			row = append(row, r.times(run, measure, c.side, cheapSide))
		}
		t.row(row...)
	}
}
