package cryptsetup

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseJSONFaults(t *testing.T) {
	for in, rule := range map[string]string{
		`{}`:                      "",
		`{"a":[1,"b",{}],"c":{}}`: "",
		`[true,false,null]`:       "",
		``:                        "json.syntax",
		`{`:                       "json.syntax",
		`{"a"`:                    "json.syntax",
		`{"a":`:                   "json.syntax",
		`{"a":1`:                  "json.syntax",
		`{"a":1,}`:                "json.syntax",
		`{a:1}`:                   "json.syntax",
		`{"a"1}`:                  "json.syntax",
		`{"a":1"b":2}`:            "json.syntax",
		`[1,]`:                    "json.syntax",
		`["1""2"]`:                "json.syntax",
		`[`:                       "json.syntax",
		`"a`:                      "json.syntax",
		`"a\`:                     "json.syntax",
		`tru`:                     "json.syntax",
		`{}{}`:                    "json.syntax",
		"\x00":                    "json.syntax",
		"{}\x00":                  "json.syntax",
		` {}`:                     "json.whitespace",
		"{}\n":                    "json.whitespace",
		`{"a": 1}`:                "json.whitespace",
		`{"a":1,"a":2}`:           "json.duplicate-key",
		`{"b":{"a":1,"a":1}}`:     "json.duplicate-key",
		`"\u0061"`:                "json.string",
		`"\""`:                    "json.string",
		"\"\x7f\"":                "json.string",
		"\"\t\"":                  "json.string",
		"\"é\"":                   "json.string",
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth):     "",
		strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1): "json.depth",
	} {
		var f faults
		n := parseJSON([]byte(in), &f)
		if rule == "" {
			require.Empty(t, f.list, "%q", in)
			require.NotNil(t, n)
			continue
		}
		require.Len(t, f.list, 1, "%q", in)
		require.Equal(t, rule, f.list[0].Rule, "%q", in)
		require.Equal(t, rule == "json.syntax" || rule == "json.depth", n == nil, "%q", in)
	}
}

func TestViolationsOfOneRuleDoNotHideAnother(t *testing.T) {
	var f faults
	for range 1000 {
		f.add("a", "", "again")
	}
	f.add("b", "", "once")
	got := f.violations()
	require.Len(t, got, maxPerRule+2)
	require.Equal(t, "b", got[maxPerRule].Rule)
	require.Equal(t, Violation{RuleOmitted, "", "984 more violations are not listed"}, got[maxPerRule+1])
}

func TestPathsAndValuesArePrintable(t *testing.T) {
	require.Equal(t, `a."\x1b[2J"`, step("a", "\x1b[2J"))
	require.Equal(t, `a.""`, step("a", ""))
	require.Equal(t, `a."b.c"`, step("a", "b.c"))
	long := quote(strings.Repeat("x", 10000))
	require.Less(t, len(long), 100)
	require.Contains(t, long, "(10000 bytes)")
}
