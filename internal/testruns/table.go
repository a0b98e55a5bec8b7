package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

var columns = []string{"Run", "Linux", "CPU", "CPUs", "Packages", "Tests", "Passed", "Failed", "Skipped", "Seconds", "Date"}

func (r result) cells() []string {
	return []string{
		r.name, r.kernel.release, r.kernel.machine, r.kernel.cpus, fmt.Sprint(r.counts.packages), fmt.Sprint(r.ran() + r.skipped),
		fmt.Sprint(r.passed), fmt.Sprint(r.failed), fmt.Sprint(r.skipped), fmt.Sprintf("%.0f", r.seconds),
		time.Now().UTC().Format(time.DateOnly),
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
	_ = w.Flush() // into memory
	return b.String()
}

// markdown is the table for a document. Rows of old for other runs stay.
func markdown(old string, results []result) string {
	row := func(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	lines := []string{row(columns), row(slices.Repeat([]string{"---"}, len(columns)))}
	if rows := slices.Collect(strings.Lines(old)); len(rows) > len(lines) {
		lines = append(lines, rows[len(lines):]...)
	}
	for _, r := range results {
		first := "| " + r.name + " |"
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, first) })
		if i < 0 {
			lines = append(lines, "")
			i = len(lines) - 1
		}
		lines[i] = row(r.cells())
	}
	return strings.Join(lines, "")
}

// The marks are comments in the document.
const (
	beginMark = "<!-- table: make kernels -->\n"
	endMark   = "<!-- end of table -->\n"
)

// rewrite puts the results between the marks of a document.
func rewrite(file string, results []result) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begin := bytes.Cut(old, []byte(beginMark))
	table, after, end := bytes.Cut(rest, []byte(endMark))
	if !begin || !end {
		return fmt.Errorf("%s has no lines %q and %q, between which the table goes", file, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return os.WriteFile(file, bytes.Join([][]byte{before, []byte(beginMark), []byte(markdown(string(table), results)), []byte(endMark), after}, nil), 0o644)
}
