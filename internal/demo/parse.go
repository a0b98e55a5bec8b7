package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// block is a block device as lsblk --json tells it. MountPoint is empty without
// one.
type block struct {
	Name       string
	MountPoint string
	Children   []block
}

// above lists the mappings over a device, the lowest first.
func above(device string) ([]block, error) {
	text, err := output("lsblk", "--json", "--output", "NAME,MOUNTPOINT", device)
	if err != nil {
		return nil, err
	}
	return chain(text)
}

// chain reads what lsblk prints of one device.
func chain(text string) ([]block, error) {
	var all struct{ BlockDevices []block }
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("lsblk --json: %w", err)
	}
	var list []block
	for level := all.BlockDevices; len(level) > 0; level = level[0].Children {
		if len(level) != 1 {
			return nil, fmt.Errorf("lsblk: %d devices beside each other, expected one: %s", len(level), text)
		}
		list = append(list, level[0])
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("lsblk: no device: %s", text)
	}
	return list[1:], nil
}

// cryptsetupStatus reads the lines "  field: value".
func cryptsetupStatus(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return fields
}

// firstNumber is the number that a value starts with; -1 if there is none. Units
// follow it, in brackets or as a word: "32768 sectors", "4096 [bytes]".
func firstNumber(value string) int64 {
	digits, _, _ := strings.Cut(value, " ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// mounted is a line of mount: "source on target type kind (options)".
type mounted struct {
	source, kind string
	options      []string
}

func (m mounted) has(option string) bool { return slices.Contains(m.options, option) }

// mountedOn finds what lies on top at a mount point without spaces; nothing if
// there is no such.
func mountedOn(text, target string) mounted {
	var m mounted
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 6 && f[2] == target {
			m = mounted{f[0], f[4], strings.Split(strings.Trim(f[5], "()"), ",")}
		}
	}
	return m
}

// diskUsage reads the lines "bytes path" of du.
func diskUsage(text string) (map[string]int64, error) {
	sizes := map[string]int64{}
	for line := range strings.Lines(text) {
		size, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("du: %q: %w", line, err)
		}
		sizes[path] = n
	}
	return sizes, nil
}

// space is what df says of a filesystem, in bytes.
type space struct {
	source, kind, target string
	used, available      int64
}

// filesystemSpace reads a header and a line with the columns in that order.
func filesystemSpace(text string) (s space, err error) {
	_, line, _ := strings.Cut(text, "\n")
	if _, err := fmt.Sscan(line, &s.source, &s.kind, &s.target, &s.used, &s.available); err != nil {
		return s, fmt.Errorf("df: %q: %w", line, err)
	}
	return s, nil
}

// memory is what free says, in bytes.
type memory struct{ total, used, available int64 }

func freeMemory() (memory, error) {
	text, err := output("free", "--bytes")
	if err != nil {
		return memory{}, err
	}
	return parseFree(text)
}

// parseFree reads the columns by their names, which procps has added to and left
// out.
func parseFree(text string) (m memory, err error) {
	header, rest, _ := strings.Cut(text, "\n")
	line, _, _ := strings.Cut(rest, "\n")
	names, values := strings.Fields(header), strings.Fields(strings.TrimPrefix(line, "Mem:"))
	for name, into := range map[string]*int64{"total": &m.total, "used": &m.used, "available": &m.available} {
		i := slices.Index(names, name)
		if i < 0 || i >= len(values) {
			return m, fmt.Errorf("free: no column %q: %q", name, text)
		}
		if *into, err = strconv.ParseInt(values[i], 10, 64); err != nil {
			return m, fmt.Errorf("free: %s: %w", name, err)
		}
	}
	return m, nil
}
