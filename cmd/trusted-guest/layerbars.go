package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// layerBars shows on a terminal how far the layers of a pull are: one line for
// each as it ends, and below them one, which is cleared at the end, for those
// under way. Elsewhere it shows nothing.
type layerBars struct {
	w       io.Writer // nil: no terminal
	mu      sync.Mutex
	shown   time.Time
	pulling map[int]guestpull.Progress
}

const clearLine = "\r\033[K"

func (a *app) layerBars() *layerBars {
	b := &layerBars{pulling: map[int]guestpull.Progress{}}
	if f, ok := a.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.w = f
	}
	return b
}

func (b *layerBars) report(p guestpull.Progress) {
	if b.w == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pulling[p.Number] = p
	if p.State != guestpull.LayerPulling {
		delete(b.pulling, p.Number)
		fmt.Fprintf(b.w, "%slayer %d of %d  %.19s  %8s  %s\n", clearLine, p.Number, p.Of, p.Digest, humanize.IBytes(uint64(p.Total)), p.State)
	}
	if time.Since(b.shown) < 100*time.Millisecond {
		return
	}
	b.shown = time.Now()
	fmt.Fprint(b.w, clearLine)
	for n := 1; n <= p.Of; n++ {
		if l, ok := b.pulling[n]; ok {
			fmt.Fprintf(b.w, "%d: %d %%  ", n, 100*l.Done/max(l.Total, 1))
		}
	}
}

func (b *layerBars) end() {
	if b.w != nil {
		fmt.Fprint(b.w, clearLine)
	}
}
