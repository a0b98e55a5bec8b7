package main

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// leakGrace is how long what ends by itself may take: a key of a thread that is
// gone, a loop device that is detached with its last user.
const leakGrace = 2 * time.Second

// awaitNoLeaks lists what is left in the kernel after the command, once it
// stopped getting less.
func awaitNoLeaks(before []string) []string {
	for end := time.Now().Add(leakGrace); ; time.Sleep(20 * time.Millisecond) {
		left := leaks(before)
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// leaks lists mappings, loop devices, keys and mounts that were not there
// before. What cannot be read is listed too: it was not checked.
func leaks(before []string) []string {
	left := slices.Concat(leftMappings("/sys"), leftLoops("/sys"), leftKeys("/proc/keys"))
	now, err := mounts()
	if err != nil {
		return append(left, err.Error())
	}
	for _, m := range now {
		if !slices.Contains(before, m) {
			left = append(left, "mount "+m)
		}
	}
	return left
}

func leftMappings(sys string) []string {
	names, err := filepath.Glob(filepath.Join(sys, "block/dm-*/dm/name"))
	if err != nil {
		return []string{err.Error()}
	}
	var left []string
	for _, n := range names {
		dev := filepath.Base(filepath.Dir(filepath.Dir(n)))
		left = append(left, "mapping "+line(n)+" ("+dev+")")
	}
	return left
}

func leftLoops(sys string) []string {
	files, err := filepath.Glob(filepath.Join(sys, "block/loop*/loop/backing_file"))
	if err != nil {
		return []string{err.Error()}
	}
	var left []string
	for _, f := range files {
		dev := filepath.Base(filepath.Dir(filepath.Dir(f)))
		left = append(left, "loop device /dev/"+dev+" on "+line(f))
	}
	return left
}

// line is the text of a one-line file, or why it could not be read.
func line(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// leftKeys finds keys of volumes. A line of /proc/keys has nine or more fields:
// serial, flags, use count, expiry, permissions, uid, gid, type, description.
func leftKeys(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return []string{err.Error()}
	}
	var left []string
	for l := range strings.SplitSeq(string(text), "\n") {
		f := strings.Fields(l)
		if len(f) < 9 || f[7] != "logon" && f[7] != "user" || !strings.HasPrefix(f[8], "cryptsetup:") {
			continue
		}
		left = append(left, "key "+f[7]+" "+strings.TrimSuffix(f[8], ":")+" ("+f[0]+")")
	}
	return left
}

// mounts lists the mounts that this process sees, each as it must still be when
// it is compared later: its number, place, type and source.
func mounts() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(text), nil
}

// parseMounts reads proc_pid_mountinfo(5): the fields before the lone hyphen
// vary in number.
func parseMounts(text []byte) []string {
	var list []string
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		head, tail, ok := strings.Cut(s.Text(), " - ")
		h, t := strings.Fields(head), strings.Fields(tail)
		if !ok || len(h) < 5 || len(t) < 2 {
			continue
		}
		list = append(list, h[4]+" of type "+t[0]+" from "+t[1]+" (mount "+h[0]+")")
	}
	return list
}
