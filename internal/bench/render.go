package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// What is between these lines of performance.md is written by this program.
const (
	beginMark = "<!-- bench: what follows is written by `make bench` -->\n"
	endMark   = "<!-- bench: end -->\n"
)

// render writes the tables and the plots from what was measured.
func (o *outside) render() error {
	r, err := loadResults(filepath.Join(o.docs, resultsName))
	if err != nil {
		return err
	}
	page := filepath.Join(o.docs, "performance.md")
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	filled, err := fill(string(text), r.markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	errs := []error{os.WriteFile(page, []byte(filled), 0o644)}
	for name, plot := range map[string]func() string{
		"usable": r.plotUsable, "throughput": r.plotLoads, "journals": r.plotJournals,
	} {
		errs = append(errs, os.WriteFile(filepath.Join(o.docs, "performance-"+name+".svg"), []byte(plot()), 0o644))
	}
	return errors.Join(errs...)
}

// fill replaces what is between the marks.
func fill(page, generated string) (string, error) {
	before, rest, found := strings.Cut(page, beginMark)
	_, after, found2 := strings.Cut(rest, endMark)
	if !found || !found2 {
		return "", fmt.Errorf("the marks %q and %q are not there", beginMark, endMark)
	}
	return before + beginMark + "\n" + generated + "\n" + endMark + after, nil
}
