package main

import (
	"fmt"
	"strings"
)

// column is one side in a table.
type column struct{ side, title string }

var (
	usableColumns = []column{
		{floorSide, "bare ioctls, the floor"}, {librarySide, "`storage.Create`"},
		{floorProcessSide, "the floor as a process"}, {oursSide, "`trusted-store create`"}, {taggedSide, "`create --tags memory`"},
		{cheapSide, "cryptsetup, cheap KDF"}, {costlySide, "cryptsetup, its KDF"}, {wipeSide, "cryptsetup, wiped"},
		{plainSide, "dm-crypt alone"}, {rawSide, "raw disk"},
	}
	loadRows = []column{
		{oursSide, "trusted-store"}, {taggedSide, "tags in memory"}, {layersSide, "its layers, no filesystem"}, {cheapSide, "cryptsetup + mkfs.ext4"},
		{plainSide, "dm-crypt alone + ext4"}, {rawSide, "raw disk + ext4"},
	}
	memoryRows = []column{
		{oursSide, "trusted-store, ephemeral"}, {taggedSide, "the same, tags in memory"}, {keyedSide, "trusted-store, random key"},
		{cheapSide, "cryptsetup, cheap KDF"}, {costlySide, "cryptsetup, its KDF"},
	}
)

// table prints Markdown.
type table struct{ strings.Builder }

func (t *table) head(titles ...string) {
	t.row(titles...)
	t.WriteString("|" + strings.Repeat(" --- |", len(titles)) + "\n")
}

func (t *table) row(cells ...string) { t.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

// markdown is all that is generated, for all runs.
func (r *results) markdown() string {
	var t table
	t.machines(r)
	for _, run := range runs {
		if r.run(run.name) == nil {
			continue
		}
		fmt.Fprintf(&t, "\n### %s\n", run.title)
		t.usable(r, run.name)
		t.memory(r, run.name)
		t.loads(r, run.name)
		t.requests(r, run.name)
		t.journals(r, run.name)
		t.variants(r, run.name)
		t.ciphers(r, run.name)
	}
	return t.String()
}

func (t *table) machines(r *results) {
	t.head("run", "began", "took", "guest", "machine", "its load before", "compared with")
	for _, run := range runs {
		i := r.run(run.name)
		if i == nil {
			continue
		}
		guest := fmt.Sprintf("Linux %s, %d CPUs, %d MiB", i.Kernel, i.CPUs, i.Memory>>20)
		if i.Throttle > 0 {
			guest += fmt.Sprintf(", disk %.1f MB/s", float64(i.Throttle)/1e6)
		}
		if i.Requests > 0 {
			guest += fmt.Sprintf(", %d requests/s", i.Requests)
		}
		form := ""
		if i.Short {
			form = ", short form"
		}
		t.row("`"+i.Run+"`"+form, i.Date, fmt.Sprintf("%.0f s", i.Seconds), guest, i.Host, i.Load, i.Tools)
	}
}

func (t *table) usable(r *results, run string) {
	if len(r.of(run, "usable", oursSide, 0)) == 0 {
		return
	}
	t.WriteString("\nSeconds from a raw disk to a mounted filesystem that takes files, and to one of the full size:\n\n")
	titles := []string{"disk"}
	for _, c := range usableColumns {
		titles = append(titles, c.title)
	}
	t.head(append(titles, "`create --wait`, full size")...)
	for _, size := range sizes {
		row := []string{bytesText(size)}
		for _, c := range usableColumns {
			row = append(row, r.usable(run, c.side, size).String())
		}
		t.row(append(row, r.full(run, oursSide, size).String())...)
	}
	t.usableRatios(r, run)
}

func (t *table) usableRatios(r *results, run string) {
	t.WriteString("\nThe same as ratios:\n\n")
	t.head("disk", "`storage.Create` to the floor", "`create` to the floor as a process", "`create` to that at 2500 MiB",
		"cheap KDF to `create`", "default KDF to `create`", "wiped to `create`", "full size: cheap KDF to `create --wait`")
	base := r.usable(run, oursSide, workSize)
	for _, size := range sizes {
		c := r.usable(run, oursSide, size)
		t.row(bytesText(size), times(r.usable(run, librarySide, size), r.usable(run, floorSide, size)),
			times(c, r.usable(run, floorProcessSide, size)), times(c, base),
			times(r.usable(run, cheapSide, size), c), times(r.usable(run, costlySide, size), c),
			times(r.usable(run, wipeSide, size), c), times(r.usable(run, cheapSide, size), r.full(run, oursSide, size)))
	}
}

func (t *table) memory(r *results, run string) {
	if len(r.of(run, "peak", oursSide, 0)) == 0 {
		return
	}
	t.WriteString("\nMemory in MiB: the most that one process had / what the kernel holds for the live, idle store:\n\n")
	titles := []string{""}
	for _, size := range sizes {
		titles = append(titles, bytesText(size))
	}
	t.head(titles...)
	for _, c := range memoryRows {
		row := []string{c.title}
		for _, size := range sizes {
			peak, held := spreadOf(r.of(run, "peak", c.side, size)), spreadOf(r.of(run, "held", c.side, size))
			row = append(row, peak.String()+" / "+held.String())
		}
		t.row(row...)
	}
}

func (t *table) loads(r *results, run string) {
	if len(r.of(run, "write", oursSide, 0)) == 0 {
		return
	}
	fmt.Fprintf(t, "\nSpeed at full size, disk of %s; in brackets, how many times that is trusted-store's:\n\n",
		bytesText(r.size(run, "write")))
	t.compare(r, run, loadRows, []column{{"write", "write MB/s"}, {"read", "read MB/s"}, {"small", "small files/s"},
		{randomWrite, "random 4 KiB writes/s"}, {randomRead, "random 4 KiB reads/s"}, {"close", "close s"}})
}

func (t *table) requests(r *results, run string) {
	if len(r.of(run, requestsSynced, oursSide, 0)) == 0 {
		return
	}
	fmt.Fprintf(t, "\nOne large file at full size, on a disk of %s; random writes of 4 KiB in that file, past the page cache; and the same\n"+
		"all over a larger device, without a filesystem; in brackets, how many times that is trusted-store's:\n\n",
		bytesText(r.size(run, requestsSynced)))
	t.compare(r, run, loadRows[:2], []column{{requestsWrite, "write MB/s"}, {requestsRandom, "random writes/s, one `fsync` at the end"},
		{requestsSynced, "random writes/s, an `fsync` after each"}, {requestsDevice, "random writes/s, " + bytesText(r.size(run, requestsDevice))}})
}

// compare prints measures of several sides.
func (t *table) compare(r *results, run string, sides, measures []column) {
	titles := []string{""}
	for _, m := range measures {
		titles = append(titles, m.title)
	}
	t.head(titles...)
	for _, c := range sides {
		row := []string{c.title}
		for _, m := range measures {
			row = append(row, r.compared(run, m.side, c.side))
		}
		t.row(row...)
	}
}

// compared is a value with its ratio to ours.
func (r *results) compared(run, measure, side string) string {
	return r.times(run, measure, side, oursSide)
}

// times is a value with its ratio to another side's.
func (r *results) times(run, measure, side, other string) string {
	value, base := spreadOf(r.of(run, measure, side, 0)), spreadOf(r.of(run, measure, other, 0))
	if value.n == 0 || side == other {
		return value.String()
	}
	return fmt.Sprintf("%v [%s×]", value, figure(value.over(base).median))
}

func (t *table) journals(r *results, run string) {
	plain, keyed := spreadOf(r.of(run, "layers", oursSide, 0)), spreadOf(r.of(run, "layers", keyedSide, 0))
	if plain.n == 0 || keyed.n == 0 {
		return
	}
	fmt.Fprintf(t, "\nThe price of the journals: the same layers took %v s in a store with a key (mode J, ext4 journal) and\n"+
		"%v s in an ephemeral one: %v×.\n", keyed, plain, keyed.over(plain))
}

func (t *table) variants(r *results, run string) {
	if len(r.of(run, "profile-write", asStored, 0))+len(r.of(run, "profile-usable", asStored, 0)) == 0 {
		return
	}
	t.WriteString("\nChoices of the layers, each alone, as a ratio to what a store has:\n\n")
	t.head("choice", "write", "read", "small files", "time to usable, 15 TiB")
	for _, v := range variants {
		row := []string{"`" + v.name + "`"}
		for _, m := range []string{"profile-write", "profile-read", "profile-small", "profile-usable"} {
			row = append(row, spreadOf(r.of(run, m, v.name, 0)).over(spreadOf(r.of(run, m, asStored, 0))).String())
		}
		t.row(row...)
	}
}
