package cryptsetup

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteText prints a report for people: the first copy, and beside it what the
// second one has otherwise; the JSON area; then the verdict and every violation.
// Its errors are those of w.
func (r *Report) WriteText(w io.Writer) error {
	var out bytes.Buffer
	table := textTable{tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)}
	r.addCopies(table)
	r.addMetadata(table)
	table.row()
	if r.Fingerprint != "" {
		table.row("fingerprint", r.Fingerprint)
	}
	if r.Epoch > 0 {
		table.row("token", fmt.Sprintf("epoch %d; the key tells whether it is right", r.Epoch))
	}
	table.row("verdict", r.Verdict())
	for _, v := range r.Violations {
		table.row("  " + v.String())
	}
	table.flush()
	if _, err := w.Write(padding.ReplaceAll(out.Bytes(), nil)); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

// padding is what stands where the second copy says the same.
var padding = regexp.MustCompile(`(?m) +$`)

// textTable aligns cells in memory, where writing cannot fail.
type textTable struct{ w *tabwriter.Writer }

func (t textTable) row(cells ...string) { _, _ = io.WriteString(t.w, strings.Join(cells, "\t")+"\n") }

func (t textTable) flush() { _ = t.w.Flush() }

// addMetadata sets what is below different keys apart, so that each aligns for itself.
func (r *Report) addMetadata(table textTable) {
	var last string
	for _, f := range r.Metadata {
		key, _, _ := strings.Cut(f.Path, ".")
		if key != last {
			table.row()
		}
		table.row(f.Path, f.Value)
		last = key
	}
}

func (r *Report) addCopies(table textTable) {
	if len(r.Copies) == 0 {
		return
	}
	for _, line := range []struct {
		name string
		of   func(Copy) string
	}{
		{"copy", Copy.title},
		{"magic", func(c Copy) string { return c.Magic }},
		{"version", func(c Copy) string { return strconv.Itoa(int(c.Version)) }},
		{"hdr_size", func(c Copy) string { return strconv.FormatUint(c.HeaderSize, 10) }},
		{"seqid", func(c Copy) string { return strconv.FormatUint(c.SeqID, 10) }},
		{"label", func(c Copy) string { return orDash(c.Label) }},
		{"csum_alg", func(c Copy) string { return orDash(c.ChecksumAlg) }},
		{"uuid", func(c Copy) string { return orDash(c.UUID) }},
		{"subsystem", func(c Copy) string { return orDash(c.Subsystem) }},
		{"hdr_offset", func(c Copy) string { return strconv.FormatUint(c.HeaderOffset, 10) }},
		{"checksum", Copy.state},
	} {
		first, second := line.of(r.Copies[0]), ""
		if len(r.Copies) > 1 && line.of(r.Copies[1]) != first {
			second = line.of(r.Copies[1])
		}
		table.row(line.name, first, second)
	}
}

func (c Copy) title() string {
	if c.Name == copyNames[1] {
		return c.Name + ", where it differs"
	}
	return c.Name
}

func (c Copy) state() string {
	if c.Checksum == c.Computed {
		return "right"
	}
	return "wrong"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
