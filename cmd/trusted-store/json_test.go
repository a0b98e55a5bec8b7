package main

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"
)

// keys NAME… checks that standard output is one JSON object, or a list of one,
// with exactly these names, in any order.
func keysOf(ts *testscript.TestScript, _ bool, want []string) {
	var value any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &value); err != nil {
		ts.Fatalf("no JSON: %v", err)
	}
	if list, ok := value.([]any); ok {
		if len(list) != 1 {
			ts.Fatalf("a list of %d, not of 1", len(list))
		}
		value = list[0]
	}
	object, ok := value.(map[string]any)
	if !ok {
		ts.Fatalf("no JSON object")
	}
	got := slices.Sorted(maps.Keys(object))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		ts.Fatalf("names are %q, want %q", got, want)
	}
}
