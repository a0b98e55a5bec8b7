package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// event is one line of go test -json; "go doc test2json" describes it.
type event struct {
	Action      string
	Package     string
	Test        string
	Elapsed     float64 // seconds
	Output      string
	ImportPath  string // of a package that is built
	FailedBuild string
}

// counts are numbers of tests, subtests among them, and of packages.
type counts struct {
	packages, passed, failed, skipped int
	seconds                           float64
}

func (c *counts) add(o counts) {
	c.packages += o.packages
	c.passed += o.passed
	c.failed += o.failed
	c.skipped += o.skipped
	c.seconds += o.seconds
}

func (c counts) ran() int { return c.passed + c.failed }

// String is the line that machines read.
func (c counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

// reader follows the events of one go test.
type reader struct {
	counts
	print  func(line string)
	output map[string][]string // of tests that have not ended, by package and test
	failed map[string]bool     // packages with a test that failed
}

// read counts tests and prints what a person wants to see of them: the output of
// those that fail, and a line for each package.
func read(in io.Reader, print func(line string)) (counts, error) {
	r := &reader{print: print, output: map[string][]string{}, failed: map[string]bool{}}
	for d := json.NewDecoder(in); ; {
		var e event
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			return r.counts, nil
		}
		if err != nil {
			return r.counts, fmt.Errorf("read what go test -json prints: %w", err)
		}
		r.take(e)
	}
}

func (r *reader) take(e event) {
	key := e.Package + "\x00" + e.Test
	switch {
	case e.Action == "build-output":
		r.print(e.Output)
	case e.Action == "output" && e.Test != "":
		r.output[key] = append(r.output[key], e.Output)
	case e.Action == "output":
		if e.Output != "PASS\n" && e.Output != "FAIL\n" {
			r.print(e.Output)
		}
	case e.Test != "":
		r.endTest(e, key)
	default:
		r.endPackage(e)
	}
}

func (r *reader) endTest(e event, key string) {
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped++
	case "fail":
		r.counts.failed++
		r.failed[e.Package] = true
		r.show(key)
	default:
		return
	}
	delete(r.output, key)
}

// endPackage counts a package. One that fails while none of its tests did counts
// as a failure, and what its tests said last is shown.
func (r *reader) endPackage(e event) {
	switch e.Action {
	case "pass", "skip", "fail":
		r.packages++
		r.seconds += e.Elapsed
	default:
		return
	}
	if e.Action == "fail" && !r.failed[e.Package] {
		r.counts.failed++
		for key := range r.output {
			if strings.HasPrefix(key, e.Package+"\x00") {
				r.show(key)
			}
		}
	}
}

func (r *reader) show(key string) {
	for _, line := range r.output[key] {
		r.print(line)
	}
}
