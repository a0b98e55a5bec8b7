package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README says on which kernels and CPUs the tests run: on all those of
// `make kernels`, and on no other.
func TestReadmeNamesTheKernels(t *testing.T) {
	var runs []string
	for _, r := range plans["kernels"](settings{}) {
		if r.where == (place{}) {
			continue // the host
		}
		runs = append(runs, r.where.kernel+" "+r.where.arch+" "+r.where.bed)
	}
	slices.Sort(runs)
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	require.Equal(t, slices.Compact(runs), readmeKernels(t, string(text)))
}

// readmeKernels reads the table with a column for each CPU and a row for each kernel,
// whose cells list beds.
func readmeKernels(t *testing.T, readme string) []string {
	t.Helper()
	_, table, found := strings.Cut(readme, "\n| Linux |")
	require.True(t, found, "the README has no table of kernels")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	cpus := strings.Split(rows[0], "|")
	var list []string
	for _, row := range rows[2:] {
		cells := strings.Split(strings.TrimPrefix(row, "|"), "|")
		require.Len(t, cells, len(cpus)+1, row)
		kernel := strings.Fields(cells[0])[0]
		for i, cpu := range cpus[:len(cpus)-1] {
			for bed := range strings.FieldsFuncSeq(cells[i+1], func(r rune) bool { return r == ' ' || r == ',' }) {
				list = append(list, kernel+" "+strings.Fields(cpu)[0]+" "+strings.ToLower(bed))
			}
		}
	}
	slices.Sort(list)
	return list
}
