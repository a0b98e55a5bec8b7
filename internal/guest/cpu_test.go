package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Guests that run at the same time get different CPUs, and give them back.
func TestEachGuestTakesACPU(t *testing.T) {
	var allowed unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &allowed))
	if allowed.Count() < 2 {
		t.Skip("this machine has one CPU: there is nothing to choose")
	}
	dir := t.TempDir()
	taken := map[int]bool{}
	for range allowed.Count() {
		cpu, lock := takeCPU(dir)
		require.NotNil(t, lock)
		defer lock.Close()
		require.True(t, allowed.IsSet(cpu))
		require.False(t, taken[cpu], "CPU %d was taken twice", cpu)
		taken[cpu] = true
		if len(taken) == 1 {
			require.NoError(t, lock.Close())
			again, lock := takeCPU(dir)
			require.Equal(t, cpu, again)
			defer lock.Close()
		}
	}
	_, lock := takeCPU(dir)
	require.Nil(t, lock, "more guests than CPUs")
}

func TestStayOnCPU(t *testing.T) {
	require.ErrorContains(t, stayOnCPU("x"), cpuMark)
}
