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
// under way. Elsewhere it shows nothing, with -v the lines.
type layerBars struct {
	w       io.Writer // nil: no terminal
	lines   io.Writer // for a line for each layer; nil: none
	mu      sync.Mutex
	shown   time.Time
	pulling map[int]guestpull.Progress
}

const clearLine = "\r\033[K"

func (a *app) layerBars() *layerBars {
	b := &layerBars{pulling: map[int]guestpull.Progress{}}
	if f, ok := a.err.(*os.File); ok && !a.quiet && term.IsTerminal(int(f.Fd())) {
		b.w, b.lines = f, f
	}
	if a.verbose {
		b.lines = a.err
	}
	return b
}

func (b *layerBars) report(p guestpull.Progress) {
	if b.lines == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pulling[p.Number] = p
	if p.State != guestpull.LayerPulling {
		delete(b.pulling, p.Number)
		b.clear()
		fmt.Fprintf(b.lines, "layer %d of %d  %.19s  %8s  %s\n", p.Number, p.Of, p.Digest, humanize.IBytes(uint64(p.Total)), p.State)
	}
	if b.w == nil || time.Since(b.shown) < 100*time.Millisecond {
		return
	}
	b.shown = time.Now()
	b.clear()
	for n := 1; n <= p.Of; n++ {
		if l, ok := b.pulling[n]; ok {
			fmt.Fprintf(b.w, "%d: %d %%  ", n, 100*l.Done/max(l.Total, 1))
		}
	}
}

func (b *layerBars) end() { b.clear() }

func (b *layerBars) clear() {
	if b.w != nil {
		fmt.Fprint(b.w, clearLine)
	}
}
