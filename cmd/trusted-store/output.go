package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// progressBar shows on a terminal how far a long step is, on one line that it
// clears at the end. Elsewhere it shows nothing.
type progressBar struct {
	w     io.Writer // nil: no terminal
	shown time.Time
	began time.Time
}

func (a *app) progress() *progressBar {
	p := &progressBar{began: time.Now()}
	if f, ok := a.err.(*os.File); ok && !a.quiet && !a.verbose && term.IsTerminal(int(f.Fd())) {
		p.w = f
	}
	return p
}

const (
	barWidth    = 30
	firstReport = 300 * time.Millisecond // what is over sooner needs no bar
	nextReport  = 100 * time.Millisecond
)

func (p *progressBar) report(r storage.Progress) {
	if p.w == nil || r.Total == 0 || time.Since(p.began) < firstReport || time.Since(p.shown) < nextReport {
		return
	}
	p.shown = time.Now()
	full := int(barWidth * r.Done / r.Total)
	bar := strings.Repeat("#", full) + strings.Repeat(" ", barWidth-full)
	fmt.Fprintf(p.w, "\r\033[K%s [%s] %3d %% of %s", r.Step, bar, 100*r.Done/r.Total, humanize.IBytes(r.Total))
}

func (p *progressBar) end() {
	if p.w != nil && !p.shown.IsZero() {
		fmt.Fprint(p.w, "\r\033[K")
	}
}
