package dm

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Dir is where the nodes of mappings are.
const Dir = "/dev/mapper"

// Longest name and UUID in bytes: the kernel's fields have one more for NUL.
const (
	maxName = 127
	maxUUID = 128
)

const nameBytes = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#+-.:=@_"

// Path returns the node of the mapping with this name.
func Path(name string) string { return filepath.Join(Dir, name) }

// ValidName checks a name for a new mapping: 1 to 127 bytes of [A-Za-z0-9] and
// #+-.:=@_, which are what udev and libdevmapper keep as they are; not ".",
// ".." or "control". The error wraps [ErrInvalidName].
func ValidName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: empty", ErrInvalidName)
	case len(name) > maxName:
		return fmt.Errorf("%w: %d bytes, at most %d are possible", ErrInvalidName, len(name), maxName)
	case name == "." || name == ".." || name == "control":
		return fmt.Errorf("%w: %q is reserved", ErrInvalidName, name)
	}
	for i := range len(name) {
		if strings.IndexByte(nameBytes, name[i]) < 0 {
			return fmt.Errorf("%w: %q has a byte outside letters, digits and #+-.:=@_", ErrInvalidName, name)
		}
	}
	return nil
}

func validUUID(uuid string) error {
	if len(uuid) > maxUUID {
		return fmt.Errorf("%w: uuid of %d bytes, at most %d are possible", ErrInvalidName, len(uuid), maxUUID)
	}
	for i := range len(uuid) {
		if strings.IndexByte(nameBytes, uuid[i]) < 0 {
			return fmt.Errorf("%w: uuid %q has a byte outside letters, digits and #+-.:=@_", ErrInvalidName, uuid)
		}
	}
	return nil
}

// findable checks a name that is only looked up: other programs' names may hold
// what ours do not.
func findable(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
		return fmt.Errorf("%w: %w: %q", ErrNotFound, ErrInvalidName, name)
	}
	return nil
}
