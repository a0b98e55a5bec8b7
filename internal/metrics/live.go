package metrics

import (
	"context"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trusted-store/trusted-store/storage"
)

// live collects what the kernel has of every store.
type live struct {
	list func(context.Context) ([]storage.Status, error)

	stores, info *prometheus.Desc
	values       []value
	errors       *prometheus.Desc

	mu       sync.Mutex
	failures map[string]int // reads that failed, by the UUID of a store
}

// value is one number of a store.
type value struct {
	desc *prometheus.Desc
	of   func(*storage.Status) (n uint64, known bool)
}

func newLive(list func(context.Context) ([]storage.Status, error)) *live {
	name := func(s string) string { return prometheus.BuildFQName(namespace, "", s) }
	l := &live{list: list, failures: map[string]int{}}
	l.stores = prometheus.NewDesc(name("stores"), "Stores that are live.", []string{"state"}, nil)
	l.info = prometheus.NewDesc(name("store_info"), "1, with what does not change while a store is live; mount_point is the first of several.",
		[]string{"store", "uuid", "device", "mount_point", "cipher", "integrity", "tags"}, nil)
	l.errors = prometheus.NewDesc(name("integrity_errors_total"),
		"Reads that failed because a block could not be authenticated, as far as the kernel logs them, since the service was started.", []string{"store"}, nil)
	for _, v := range values {
		l.values = append(l.values, value{prometheus.NewDesc(name(v.name), v.help, []string{"store"}, nil), v.of})
	}
	return l
}

var values = []struct {
	name, help string
	of         func(*storage.Status) (uint64, bool)
}{
	{"device_size_bytes", "Size of the raw device.",
		func(s *storage.Status) (uint64, bool) { return s.DeviceBytes, s.DeviceBytes > 0 }},
	{"mapping_size_bytes", "What a filesystem can have of it.",
		func(s *storage.Status) (uint64, bool) { return s.Sectors * 512, s.Sectors > 0 }},
	{"problems", "What is wrong with a store, such as a device that is gone: trusted-store status has the texts.",
		func(s *storage.Status) (uint64, bool) { return uint64(len(s.Problems)), true }},
	{"filesystem_size_bytes", "Size of the mounted filesystem without its metadata, as far as it has grown.",
		in(filesystem, func(f *storage.Filesystem) uint64 { return f.Bytes })},
	{"filesystem_used_bytes", "What of that is in use.",
		in(filesystem, func(f *storage.Filesystem) uint64 { return f.Bytes - min(f.AvailableBytes, f.Bytes) })},
	{"filesystem_inodes", "Files that the filesystem can have, as far as it has grown.",
		in(filesystem, func(f *storage.Filesystem) uint64 { return f.Inodes })},
	{"filesystem_free_inodes", "How many more files it can have.",
		in(filesystem, func(f *storage.Filesystem) uint64 { return f.FreeInodes })},
	{"grown_bytes", "Size to which the filesystem has grown, with its metadata.",
		in(growth, func(g *storage.Growth) uint64 { return g.Bytes })},
	{"full_size_bytes", "Size that it can grow to.",
		in(growth, func(g *storage.Growth) uint64 { return g.Target })},
	{"growing", "Whether a process is there that grows it.",
		in(growth, func(g *storage.Growth) uint64 { return uint64(min(g.Grower, 1)) })},
	{"swap_size_bytes", "Size of the swap area.",
		in(swap, func(u *storage.SwapUse) uint64 { return u.Bytes })},
	{"swap_used_bytes", "What of that is in use.",
		in(swap, func(u *storage.SwapUse) uint64 { return u.UsedBytes })},
	{"tag_memory_bytes", "Memory that tags take.",
		in(tagMemory, func(m *storage.TagMemory) uint64 { return m.Bytes })},
	{"tag_memory_limit_bytes", "Memory that tags may take.",
		in(tagMemory, func(m *storage.TagMemory) uint64 { return m.Limit })},
}

// in is a number of a part that a store may have.
func in[T any](part func(*storage.Status) *T, of func(*T) uint64) func(*storage.Status) (uint64, bool) {
	return func(s *storage.Status) (uint64, bool) {
		p := part(s)
		if p == nil {
			return 0, false
		}
		return of(p), true
	}
}

func filesystem(s *storage.Status) *storage.Filesystem { return s.Filesystem }
func growth(s *storage.Status) *storage.Growth         { return s.Growth }
func swap(s *storage.Status) *storage.SwapUse          { return s.Swap }
func tagMemory(s *storage.Status) *storage.TagMemory   { return s.TagMemory }

// failed counts reads of a store.
func (l *live) failed(uuid string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures[uuid] += n
}

// forget drops what was counted of stores that are live no more.
func (l *live) forget(list []storage.Status) {
	there := map[string]bool{}
	for i := range list {
		there[list[i].UUID] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for uuid := range l.failures {
		if !there[uuid] {
			delete(l.failures, uuid)
		}
	}
}

// Describe is part of prometheus.Collector.
func (l *live) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.stores, l.info, l.errors} {
		to <- d
	}
	for _, v := range l.values {
		to <- v.desc
	}
}

// Collect is part of prometheus.Collector.
func (l *live) Collect(to chan<- prometheus.Metric) {
	list, err := l.list(context.Background())
	if err != nil {
		to <- prometheus.NewInvalidMetric(l.stores, err)
		return
	}
	states := map[storage.State]int{storage.StateMounted: 0, storage.StateMapped: 0, storage.StateSwap: 0, storage.StateIncomplete: 0}
	for i := range list {
		states[list[i].State]++
		l.collect(to, &list[i])
	}
	for state, n := range states {
		to <- prometheus.MustNewConstMetric(l.stores, prometheus.GaugeValue, float64(n), string(state))
	}
	l.forget(list)
}

func (l *live) collect(to chan<- prometheus.Metric, s *storage.Status) {
	dir := ""
	if len(s.Mounts) > 0 {
		dir = strings.ToValidUTF8(s.Mounts[0].Dir, "\uFFFD")
	}
	name := strings.ToValidUTF8(s.Name, "\uFFFD")
	to <- prometheus.MustNewConstMetric(l.info, prometheus.GaugeValue, 1,
		name, s.UUID, s.DeviceNumber, dir, strings.ToValidUTF8(s.Cipher, "\uFFFD"), s.Integrity, s.Tags)
	for _, v := range l.values {
		if n, known := v.of(s); known {
			to <- prometheus.MustNewConstMetric(v.desc, prometheus.GaugeValue, float64(n), name)
		}
	}
	if s.Tags == "" {
		return // nothing detects any
	}
	l.mu.Lock()
	n := l.failures[s.UUID]
	l.mu.Unlock()
	to <- prometheus.MustNewConstMetric(l.errors, prometheus.CounterValue, float64(n), name)
}
