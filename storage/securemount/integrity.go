package securemount

import (
	"strings"
	"sync"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

// rememberedEvents is how many integrity events are kept for who watches a store: more
// than the kernel logs between two looks.
const rememberedEvents = 64

// integrityEvents are the latest ones, of all stores.
type integrityEvents struct {
	mu     sync.Mutex
	latest []storage.IntegrityEvent
	count  int // of all that there were
}

func (l *integrityEvents) add(e storage.IntegrityEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.latest = append(l.latest, e); len(l.latest) > rememberedEvents {
		l.latest = l.latest[1:]
	}
	l.count++
}

// since returns the events of a volume after the first n of all, and how many there
// are by now.
func (l *integrityEvents) since(n int, uuid string) (list []storage.IntegrityEvent, count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.latest[max(0, len(l.latest)-(l.count-n)):] {
		if e.UUID == uuid {
			list = append(list, e)
		}
	}
	return list, l.count
}

// watchIntegrity tells of reads that fail, until Close.
func (s *Server) watchIntegrity() {
	err := storage.WatchIntegrity(s.open, func(e storage.IntegrityEvent) {
		s.log.Error("blocks cannot be authenticated", "store", e.Name, "failures", e.Failures, "unreadable", unreadableText(e.Unreadable))
		s.integrity.add(e)
		if s.opts.IntegrityError != nil {
			s.opts.IntegrityError(e)
		}
	})
	if err != nil {
		s.log.Warn("blocks that cannot be authenticated will not be told", "err", err)
	}
}

func unreadableText(list []storage.Unreadable) string {
	var texts []string
	for _, u := range list {
		texts = append(texts, u.String())
	}
	return strings.Join(texts, "; ")
}

// unreadable says of blocks what the protocol has a place for.
func unreadable(list []storage.Unreadable) (all []*stores.Unreadable) {
	for _, u := range list {
		m := &stores.Unreadable{Sector: u.Sector, Sectors: u.Sectors, Holds: string(u.Holds), Inode: u.Inode, MorePaths: u.MorePaths}
		for _, path := range u.Paths {
			m.Paths = append(m.Paths, strings.ToValidUTF8(path, "\uFFFD"))
		}
		all = append(all, m)
	}
	return all
}
