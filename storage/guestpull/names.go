package guestpull

import (
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxPath = unix.PathMax - 1 // bytes of a name; the kernel counts a zero as well
	maxName = 255              // bytes of one component
	// maxLinks is how many symbolic links the kernel follows in one name.
	maxLinks = 40
)

// Names of an archive that say what the layer removes.
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// nameIn is where in its layer something with that name in the archive is:
// relative, "." being the layer's root. A leading slash or "./" says nothing.
// what is how an error calls it.
func nameIn(what, name string) (string, error) {
	if len(name) > maxPath {
		return "", refuse(ErrRejected, "", "its %s %s has a name of %d bytes, %d are the most", what, quote(name), len(name), maxPath)
	}
	clean := path.Clean(strings.TrimPrefix(path.Clean(name), "/"))
	if !filepath.IsLocal(clean) {
		return "", refuse(ErrRejected, "", "its %s %s is outside of the layer", what, quote(clean))
	}
	if strings.IndexByte(clean, 0) >= 0 {
		return "", refuse(ErrRejected, "", "its %s %s has a zero in its name", what, quote(clean))
	}
	for component := range components(clean) {
		if len(component) > maxName && !strings.HasPrefix(component, whiteoutPrefix) {
			return "", tooLongName(component)
		}
	}
	return clean, nil
}

func tooLongName(name string) error {
	return refuse(ErrRejected, "", "%s has %d bytes, %d are the most for one name", quote(name), len(name), maxName)
}

// removedBy is the name that a whiteout of that name removes.
func removedBy(whiteout string) (string, error) {
	name := strings.TrimPrefix(whiteout, whiteoutPrefix)
	switch {
	case name == "", name == ".", name == "..":
		return "", refuse(ErrRejected, "", "its entry %s removes nothing that can have a name", quote(whiteout))
	case len(name) > maxName:
		return "", tooLongName(name)
	}
	return name, nil
}
