package mkfs_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/trusted-store/trusted-store/mkfs"
)

type discard struct{}

func (discard) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

func BenchmarkFormat(b *testing.B) {
	for _, size := range []uint64{64 * mib, 2500 * mib, 56 * gib, tib, 15 * tib} {
		b.Run(fmt.Sprintf("%dMiB", size/mib), func(b *testing.B) {
			b.ReportAllocs()
			var written uint64
			for b.Loop() {
				l, err := mkfs.Format(context.Background(), discard{}, size, mkfs.Options{})
				if err != nil {
					b.Fatal(err)
				}
				written = l.MetadataBytes
			}
			b.ReportMetric(float64(written), "written-B/op")
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mkfs.Plan(15*tib, mkfs.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
