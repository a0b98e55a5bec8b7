package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

var columns = []string{"Run", "Linux", "CPU", "CPUs", "Packages", "Tests", "Passed", "Failed", "Skipped", "Seconds"}

func (r result) cells() []string {
	return []string{
		r.name, r.kernel.release, r.kernel.machine, r.kernel.cpus, fmt.Sprint(r.counts.packages), fmt.Sprint(r.ran() + r.skipped),
		fmt.Sprint(r.passed), fmt.Sprint(r.failed), fmt.Sprint(r.skipped), fmt.Sprintf("%.0f", r.seconds),
	}
}

func total(results []result) counts {
	var sum counts
	for _, r := range results {
		sum.add(r.counts)
	}
	return sum
}

// text is the table for a terminal.
func text(results []result) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(columns, "\t"))
	for _, r := range results {
		fmt.Fprintln(w, strings.Join(r.cells(), "\t"))
	}
	w.Flush()
	return b.String()
}

// markdown is the table for a document.
func markdown(results []result) string {
	var b strings.Builder
	row := func(cells []string) { fmt.Fprintln(&b, "|", strings.Join(cells, " | "), "|") }
	row(columns)
	row(strings.Split(strings.Repeat("---,", len(columns)-1)+"---", ","))
	for _, r := range results {
		row(r.cells())
	}
	return b.String()
}

// The marks are comments in the document.
const (
	beginMark = "<!-- table: make kernels -->\n"
	endMark   = "<!-- end of table -->\n"
)

// rewrite puts the table between the marks of a document.
func rewrite(file, table string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begin := bytes.Cut(old, []byte(beginMark))
	_, after, end := bytes.Cut(rest, []byte(endMark))
	if !begin || !end {
		return fmt.Errorf("%s has no lines %q and %q, between which the table goes", file, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return os.WriteFile(file, bytes.Join([][]byte{before, []byte(beginMark), []byte(table), []byte(endMark), after}, nil), 0o644)
}
