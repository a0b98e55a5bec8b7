package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func parseAll(t *testing.T, env []string, args ...string) (*options, error) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	return parse(args, env, io.Discard)
}

func TestFlagWinsOverItsVariable(t *testing.T) {
	env := []string{"GUEST_BED=qemu", "GUEST_CPUS=2", "GUEST_MEM=512M", "GUEST_UNKNOWN=x", "GUEST_TIMEOUT=", "GUEST_IOPS=500"}
	o, err := parseAll(t, env, "-mem", "1G", "cmd", "-mem", "arg")
	require.NoError(t, err)
	require.Equal(t, "qemu", o.bed)
	require.Equal(t, 2, o.cpus)
	require.EqualValues(t, 1<<30, o.mem)
	require.EqualValues(t, 500, o.iops)
	require.Equal(t, []string{"cmd", "-mem", "arg"}, o.args)
}

func TestDefaults(t *testing.T) {
	o, err := parseAll(t, nil, "true")
	require.NoError(t, err)
	require.Equal(t, "uml", o.bed)
	require.Equal(t, 1, o.cpus)
	require.Equal(t, byteSize(2<<30), o.mem)
	require.True(t, o.leaks)
	o, err = parseAll(t, nil, "-bed=qemu", "true")
	require.NoError(t, err)
	require.Equal(t, 4, o.cpus)
}

func TestImpossibleOptionsAreRefused(t *testing.T) {
	for name, args := range map[string][]string{
		"no command given":        {"-bed", "uml"},
		"unknown bed":             {"-bed", "vm", "true"},
		"one CPU":                 {"-cpus", "4", "true"},
		"cannot throttle":         {"-throttle", "1M", "true"},
		"cannot limit":            {"-iops", "500", "true"},
		`invalid value "-1" for`:  {"-bed", "qemu", "-iops", "-1", "true"},
		"unknown architecture":    {"-bed", "qemu", "-arch", "riscv64", "true"},
		"has the host's CPU":      {"-arch", "arm64", "true"},
		"6.1, 6.12, newest":       {"-kernel", "7.0", "true"},
		`no kernel "6.1"`:         {"-bed", "qemu", "-arch", "s390x", "-kernel", "6.1", "true"},
		"is no size":              {"-mem", "much", "true"},
		"flag provided but not":   {"-nothing", "true"},
		`variable GUEST_MEM="x"`:  nil,
		"invalid value \"-1\" fo": {"-disk", "-1", "true"},
	} {
		t.Run(name, func(t *testing.T) {
			var env []string
			if args == nil {
				env = []string{"GUEST_MEM=x"}
			}
			_, err := parseAll(t, env, args...)
			require.ErrorContains(t, err, name)
		})
	}
}

func TestTimeoutLeavesAGoTestItsOwn(t *testing.T) {
	o, err := parseAll(t, nil, "x.test", "-test.timeout=8m0s")
	require.NoError(t, err)
	require.Equal(t, 9*time.Minute, o.timeout)
	o, err = parseAll(t, nil, "-i")
	require.NoError(t, err)
	require.Zero(t, o.timeout)
	o, err = parseAll(t, nil, "-timeout", "5s", "x.test", "-test.timeout=8m0s")
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, o.timeout)
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]uint64{
		"1": 1, "4096": 4096, "512M": 512 << 20, "512MiB": 512 << 20, "2G": 2 << 30, "15T": 15 << 40, "3k": 3 << 10,
	} {
		var s byteSize
		require.NoError(t, s.Set(text), text)
		require.EqualValues(t, want, s, text)
	}
	for _, text := range []string{"", "0", "G", "1X", "1GG", "-1", "1.5G", "8388608T", "99999999999999999999"} {
		var s byteSize
		require.Error(t, s.Set(text), text)
	}
}

func TestDiskList(t *testing.T) {
	var l diskList
	require.NoError(t, l.Set("56G,./kept.img,1T"))
	require.Equal(t, diskList{{size: 56 << 30}, {path: "./kept.img"}, {size: 1 << 40}}, l)
}
