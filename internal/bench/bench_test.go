package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestSpread(t *testing.T) {
	require.Equal(t, spread{median: 2, least: 1, most: 9, n: 3}, spreadOf([]float64{9, 1, 2}))
	require.Equal(t, spread{median: 1.5, least: 1, most: 2, n: 2}, spreadOf([]float64{2, 1}))
	require.Equal(t, "2.00 (1.00–9.00)", spreadOf([]float64{9, 1, 2}).String())
	require.Equal(t, "12.0", spreadOf([]float64{12}).String())
	require.Equal(t, "–", spreadOf(nil).String())
	require.Equal(t, spread{median: 4, least: 2, most: 18, n: 3}, spreadOf([]float64{9, 1, 2}).over(spread{median: 0.5, n: 1}))
	require.Equal(t, "2500 MiB", bytesText(workSize))
	require.Equal(t, "56 GiB", bytesText(bigSize))
}

func sampleResults() *results {
	r := &results{}
	add := func(measure, side string, size uint64, values ...float64) {
		for _, v := range values {
			r.Samples = append(r.Samples, sample{"uml", measure, side, size, v})
		}
	}
	r.Runs = []bedInfo{{Run: "uml", Kernel: "6.1"}}
	add("usable", oursSide, workSize, 9, 0.2, 0.3, 0.4)
	add("usable", floorSide, workSize, 0.2)
	add("usable", cheapSide, workSize, 2)
	add("usable", costlySide, workSize, 20)
	add("usable", wipeSide, workSize, 30)
	add("write", oursSide, workSize, 100)
	add("write", cheapSide, workSize, 50)
	add("layers", oursSide, workSize, 2)
	add("layers", keyedSide, workSize, 4)
	return r
}

func TestExtrapolation(t *testing.T) {
	r := sampleResults()
	require.Equal(t, "≈ 90.0", r.usable("uml", wipeSide, 3*workSize).String())
	require.Equal(t, "≈ 24.0", r.usable("uml", costlySide, 3*workSize).String(), "only the recipe grows with the size")
	require.Equal(t, "–", r.usable("uml", wipeSide, 256<<20).String(), "nothing follows for a smaller disk")
	require.Equal(t, "–", r.usable("uml", oursSide, bigSize).String(), "ours is never extrapolated")
	require.Equal(t, "1.50 (1.00–2.00)×", times(r.usable("uml", oursSide, workSize), r.usable("uml", floorSide, workSize)))
}

func TestMarkdown(t *testing.T) {
	text := sampleResults().markdown()
	require.Contains(t, text, "### User-Mode Linux")
	require.NotContains(t, text, "### QEMU", "a run that was not made has no tables")
	require.Contains(t, text, "50.0 [0.500×]")
	require.Contains(t, text, "4.00 s in a store with a key")
}

func TestRender(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, sampleResults().save(filepath.Join(dir, resultsName)))
	page := filepath.Join(dir, "performance.md")
	o := &outside{docs: dir}
	require.NoError(t, os.WriteFile(page, []byte("no marks"), 0o644))
	require.ErrorContains(t, o.render(), "marks")
	require.NoError(t, os.WriteFile(page, []byte("above\n"+beginMark+"old\n"+endMark+"below\n"), 0o644))
	for range 2 {
		require.NoError(t, o.render())
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "above\n") && strings.HasSuffix(string(text), "below\n"))
		require.NotContains(t, string(text), "old\n")
		require.Equal(t, 1, strings.Count(string(text), "### User-Mode Linux"))
	}
	plots, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	require.NoError(t, err)
	require.Len(t, plots, 3)
}

func TestReadLines(t *testing.T) {
	var rest strings.Builder
	info, samples, err := readLines(strings.NewReader(
		"{\"info\":{\"kernel\":\"6.1\"}}\nnoise\n{\"sample\":{\"run\":\"uml\",\"measure\":\"write\",\"side\":\"raw\",\"value\":3}}\n"), &rest)
	require.NoError(t, err)
	require.Equal(t, "6.1", info.Kernel)
	require.Equal(t, []sample{{Run: "uml", Measure: "write", Side: "raw", Value: 3}}, samples)
	require.Equal(t, "noise\n", rest.String())
}

func TestResultsReplaceWhatWasMeasuredAgain(t *testing.T) {
	r := sampleResults()
	r.add(bedInfo{Run: "uml", Kernel: "6.2"}, []sample{{"uml", "write", oursSide, workSize, 120}})
	require.Equal(t, []float64{120}, r.of("uml", "write", oursSide, workSize))
	require.Empty(t, r.of("uml", "write", cheapSide, workSize), "a ratio would mix two runs")
	require.NotEmpty(t, r.of("uml", "usable", oursSide, workSize))
	require.Equal(t, "6.2", r.run("uml").Kernel)
	require.Len(t, r.Runs, 1)
}

func TestThrottleIsHalfOfTheLayers(t *testing.T) {
	throttled := runs[2]
	require.True(t, throttled.throttled)
	_, err := throttled.throttle(&results{})
	require.ErrorContains(t, err, "run qemu first")
	rate, err := throttled.throttle(&results{Samples: []sample{{"qemu", "write", layersSide, workSize, 14}}})
	require.NoError(t, err)
	require.InDelta(t, 7e6, rate, 4096)
}

func TestLimitsOfADisk(t *testing.T) {
	r := &runs[len(runs)-1]
	bytes, err := r.throttle(&results{})
	require.NoError(t, err, "its rate follows from no other run")
	args, err := (&outside{short: true}).arguments(r, bytes)
	require.NoError(t, err)
	text := strings.Join(args, " ")
	require.Contains(t, text, "-disk 512M,16G")
	require.Contains(t, text, "-throttle 12500000 -iops 500")
	for _, r := range runsWith("throughput") {
		require.Zero(t, r.requests, "compared with one that is not limited so")
	}
}

func TestRequestsTable(t *testing.T) {
	r := &results{Runs: []bedInfo{{Run: "qemu-requests", Throttle: 12_500_000, Requests: 500}}}
	require.NotContains(t, r.markdown(), "random writes")
	r.Samples = []sample{{"qemu-requests", requestsSynced, oursSide, workSize, 100}, {"qemu-requests", requestsSynced, taggedSide, workSize, 250}}
	text := r.markdown()
	require.Contains(t, text, "disk 12.5 MB/s, 500 requests/s")
	require.Contains(t, text, "| tags in memory | – | – | 250 [2.50×] | – |")
	require.NotContains(t, text, "small files", "the table of another experiment")
}

func TestCiphersTable(t *testing.T) {
	r := &results{Runs: []bedInfo{{Run: "uml"}}}
	require.NotContains(t, r.markdown(), "aegis128")
	r.Samples = []sample{{"uml", "cipher-write", cheapSide, workSize, 100}, {"uml", "cipher-write", aegisSide, workSize, 310}}
	require.Contains(t, r.markdown(), "| trusted-store, `--cipher aegis128` | 310 [3.10×] | – ")
}

// Every side that needs no other program makes a filesystem that takes files, and
// leaves nothing behind.
func TestSides(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	d, err := openDisk(storagetest.Disk(t, 128<<20))
	require.NoError(t, err)
	in := &inside{plan: planFor("uml", tinyForm), worker: testWorker(t), dir: t.TempDir(), seeds: map[string]uint64{}, disks: []disk{d}}
	seed, err := in.seedSize(t.Context(), d)
	require.NoError(t, err)
	require.InDelta(t, d.bytes, seed, 32<<20, "so small a disk gets its whole filesystem at once")
	sides := append([]side{&raw{seed: seed}, plain(seed), &library{testWorker(t)}}, varied(seed)[:3]...)
	for _, s := range sides {
		values, err := in.load(t.Context(), s, d)
		require.NoError(t, err, s.name())
		for measure, value := range values {
			require.Positive(t, value, "%s of %s", measure, s.name())
		}
	}
	require.NotEqual(t, sides[3].(*bare).sectors, sides[4].(*bare).sectors, "another interleave gives another size")
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerWord {
		if err := mainWorker(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func testWorker(t *testing.T) *worker {
	t.Helper()
	s, err := newWorker()
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.close() }) // killed in one test
	return s
}

func TestProgramSaysWhatItSaid(t *testing.T) {
	p := programs{worker: testWorker(t)}
	err := p.run(t.Context(), "sh", "-c", `printf "no %s" good >&2; exit 3`)
	require.ErrorContains(t, err, "no good")
	p.watch = true
	require.NoError(t, p.run(t.Context(), "sleep", "0.05"))
	require.Positive(t, p.peak)
	require.Zero(t, highWater(0))
	require.ErrorContains(t, p.run(t.Context(), "/no/such/program"), "/no/such/program")
}

// A program ends when nobody waits for it any more, and has nothing of ours open.
func TestWorker(t *testing.T) {
	p := programs{worker: testWorker(t)}
	require.NoError(t, p.run(t.Context(), "sh", "-c", `for f in 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$f ] || exit 1; done; [ "$(readlink /proc/$$/fd/0)" = /dev/null ]`))

	ctx, cancel := context.WithCancelCause(t.Context())
	number := filepath.Join(t.TempDir(), "pid")
	go func() {
		for {
			if text, err := os.ReadFile(number); err == nil && len(text) > 0 {
				cancel(errors.New("enough"))
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	require.ErrorContains(t, p.run(ctx, "sh", "-c", "echo $$ >"+number+"; exec sleep 60"), "enough")
	text, err := os.ReadFile(number)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(text)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, 10*time.Second, 10*time.Millisecond)
}

func TestTurnsAndTheFirstRepetition(t *testing.T) {
	var out strings.Builder
	in := &inside{plan: plan{repetitions: 3, budget: 1 << 40}, run: "uml"}
	in.out = json.NewEncoder(&out)
	n := 0.0
	require.NoError(t, in.turns(t.Context(), []side{&raw{}}, 1, func(side) (map[string]float64, error) {
		n++
		return map[string]float64{"usable": n}, nil
	}))
	_, samples, err := readLines(strings.NewReader(out.String()), io.Discard)
	require.NoError(t, err)
	require.Len(t, samples, 3)
	require.Equal(t, []float64{2, 3}, (&results{Samples: samples}).of("uml", "usable", rawSide, 1))
	require.Equal(t, []float64{1, 2}, (&results{Samples: samples[:2]}).of("uml", "usable", rawSide, 1))
	in.plan.budget = 0
	n = 0
	out.Reset()
	require.NoError(t, in.turns(t.Context(), []side{&raw{}}, 1, func(side) (map[string]float64, error) {
		n++
		return map[string]float64{"usable": n}, nil
	}))
	require.Equal(t, 1.0, n, "out of time after the one that is always made")
}
