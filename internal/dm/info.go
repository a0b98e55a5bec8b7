package dm

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// Info is what the kernel says of one mapping.
type Info struct {
	Name      string
	UUID      string
	Device    Device
	OpenCount int    // openers, mappings on top and mounts
	Event     uint32 // number of events so far
	Live      bool   // has a live table
	Inactive  bool   // has a table that was loaded and not resumed
	Suspended bool
	ReadOnly  bool
}

// Info describes a mapping; without one of this name the error wraps
// [ErrNotFound].
func (c *Control) Info(name string) (Info, error) {
	info, err := c.info(name)
	return info, opError("info", name, err)
}

func (c *Control) info(name string) (Info, error) {
	if err := findable(name); err != nil {
		return Info{}, err
	}
	r, err := c.run(request{command: unix.DM_DEV_STATUS, name: name})
	if err != nil {
		return Info{}, classify(err)
	}
	return infoOf(r.header), nil
}

func infoOf(h unix.DmIoctl) Info {
	has := func(flag uint32) bool { return h.Flags&flag != 0 }
	return Info{
		Name:      untilNUL(h.Name[:]),
		UUID:      untilNUL(h.Uuid[:]),
		Device:    fromRdev(h.Dev),
		OpenCount: int(h.Open_count),
		Event:     h.Event_nr,
		Live:      has(unix.DM_ACTIVE_PRESENT_FLAG),
		Inactive:  has(unix.DM_INACTIVE_PRESENT_FLAG),
		Suspended: has(unix.DM_SUSPEND_FLAG),
		ReadOnly:  has(unix.DM_READONLY_FLAG),
	}
}

// List describes all mappings of this machine, in the order of the kernel.
func (c *Control) List() ([]Info, error) {
	r, err := c.run(request{command: unix.DM_LIST_DEVICES})
	if err != nil {
		return nil, opError("list", "", classify(err))
	}
	names, err := parseNames(r.data)
	if err != nil {
		return nil, opError("list", "", err)
	}
	var all []Info
	for _, name := range names {
		info, err := c.Info(name)
		switch {
		case errors.Is(err, ErrNotFound):
			continue // removed since
		case err != nil:
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

const nameHeader = 12 // number u64 and next u32

// parseNames reads the answer to the list command. One entry with number 0
// stands for an empty list.
func parseNames(b []byte) ([]string, error) {
	var names []string
	for len(b) > 0 {
		if len(b) < nameHeader {
			return nil, errShort
		}
		if binary.NativeEndian.Uint64(b) == 0 {
			return nil, nil
		}
		names = append(names, untilNUL(b[nameHeader:]))
		next := binary.NativeEndian.Uint32(b[8:])
		if next == 0 {
			return names, nil
		}
		if next < nameHeader || uint64(next) > uint64(len(b)) {
			return nil, errShort
		}
		b = b[next:]
	}
	return names, nil
}

func untilNUL(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}
