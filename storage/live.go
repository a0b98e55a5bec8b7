package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/moby/sys/mountinfo"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// The kernel's UUIDs of the mappings begin like this; the volume's UUID without
// dashes follows, then the name. They are libcryptsetup's, which is how its tools
// and ours know each other's mappings: its integrity layers are named like the
// second, since 2.8 like the third, as all of ours below the first.
const (
	cryptPrefix     = "CRYPT-LUKS2-"
	integrityPrefix = "CRYPT-INTEGRITY-"
	subdevPrefix    = "CRYPT-SUBDEV-"
)

// layerKind is how the mappings of one layer are told from other programs'.
type layerKind struct {
	suffix   string // after the store's name
	prefixes []string
}

var (
	cryptLayer     = layerKind{"", []string{cryptPrefix}}
	integrityLayer = layerKind{integritySuffix, []string{integrityPrefix, subdevPrefix}}
	dataLayer      = layerKind{dataSuffix, []string{subdevPrefix}}
	newLayer       = layerKind{newSuffix, []string{subdevPrefix}}
)

// volume returns the UUID of the volume that a mapping is this layer of. One
// without a volume is another program's, such as integritysetup's.
func (k layerKind) volume(mapping dm.Info) (uuid.UUID, bool) {
	const digits = 32
	for _, prefix := range k.prefixes {
		rest, found := strings.CutPrefix(mapping.UUID, prefix)
		if !found || len(rest) <= digits || rest[digits] != '-' {
			continue
		}
		if id, err := uuid.Parse(rest[:digits]); err == nil {
			return id, true
		}
	}
	return uuid.Nil, false
}

// live is what the kernel has of one store.
type live struct {
	name      string
	crypt     *layer   // nil: not there
	integrity *layer   // nil: not there, as in a volume without integrity
	data      *layer   // nil: not there, as in a volume without integrity, or that cryptsetup opened
	new       *layer   // nil, but while Resize is at work, or after it was killed
	mark      *dm.Info // nil: not there, as in a store that is whole
}

// layer is one mapping.
type layer struct {
	info   dm.Info
	volume uuid.UUID
	table  dm.Table
	deps   []dm.Device
}

// readLive reads all layers of a store. A name of which there is only another
// program's mapping is refused; without any the error wraps dm.ErrNotFound.
func readLive(control *dm.Control, name string) (*live, error) {
	crypt, err := readLayer(control, name, cryptLayer)
	if err != nil {
		return nil, err
	}
	integrity, err := readLayer(control, name, integrityLayer)
	if err != nil {
		return nil, err
	}
	data, err := readLayer(control, name, dataLayer)
	if err != nil {
		return nil, err
	}
	extra, err := readLayer(control, name, newLayer)
	if err != nil {
		return nil, err
	}
	mark, err := readMark(control, name)
	if err != nil {
		return nil, err
	}
	if crypt == nil && integrity == nil && data == nil && extra == nil && mark == nil {
		return nil, noStore(control, name)
	}
	return &live{name, crypt, integrity, data, extra, mark}, nil
}

// noStore says what a name is that has no layer of a store.
func noStore(control *dm.Control, name string) error {
	info, err := control.Info(name)
	if err == nil {
		return refuse(ErrInvalid, "use the program that made it", "a mapping of another program, not a store (its UUID is %q)", info.UUID)
	}
	return notFound(control, "no such store is live")
}

// readLayer returns nil for a mapping that is not there, or no longer, and for
// another program's.
func readLayer(control *dm.Control, name string, kind layerKind) (*layer, error) {
	l, err := readMapping(control, name+kind.suffix, kind)
	if errors.Is(err, dm.ErrNotFound) {
		return nil, nil
	}
	return l, err
}

func readMapping(control *dm.Control, name string, kind layerKind) (*layer, error) {
	info, err := control.Info(name)
	if err != nil {
		return nil, err
	}
	id, ours := kind.volume(info)
	if !ours {
		return nil, nil
	}
	l := &layer{info: info, volume: id}
	if l.table, err = control.Table(name); err != nil {
		return nil, err
	}
	l.deps, err = control.Deps(name)
	return l, err
}

// storeNames returns the names of all stores of which something is live.
func storeNames(control *dm.Control) ([]string, error) {
	all, err := control.List()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range all {
		if name := storeName(m); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// storeName returns the name of the store that a mapping is a layer of, or "".
func storeName(mapping dm.Info) string {
	for _, kind := range []layerKind{cryptLayer, integrityLayer, dataLayer, newLayer} {
		name, found := strings.CutSuffix(mapping.Name, kind.suffix)
		if _, ours := kind.volume(mapping); found && ours {
			return name
		}
	}
	return markedName(mapping)
}

// resolveName turns a name, a node under /dev/mapper or the directory at which
// a store is mounted into the store's name.
func resolveName(control *dm.Control, nameOrDir string) (string, error) {
	if !strings.Contains(nameOrDir, "/") {
		return nameOrDir, checkName(nameOrDir)
	}
	if name, ok := strings.CutPrefix(nameOrDir, dm.Dir+"/"); ok {
		return name, checkName(name)
	}
	dir := nameOrDir
	if real, err := realPath(dir); err == nil {
		dir = real // absolute, as the kernel lists mounts
	}
	entries, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(filepath.Clean(dir)))
	if err != nil {
		return "", err
	}
	if len(entries) > 0 {
		top := entries[len(entries)-1]
		return mappingName(control, dm.Device{Major: uint32(top.Major), Minor: uint32(top.Minor)})
	}
	if _, err := os.Stat(dir); err != nil {
		return "", refuse(ErrInvalid, "give a store's name, or the directory where it is mounted", "%w", withoutName(err, dir))
	}
	return "", notFound(control, "nothing is mounted there")
}

// notFound lists what is open instead: a store that was unmounted by hand is found by
// its name only.
func notFound(control *dm.Control, text string) error {
	hint := "no store is open"
	switch names, err := storeNames(control); {
	case err != nil:
		hint = "storage.List lists those that are"
	case len(names) > 0:
		hint = "open are: " + strings.Join(names, ", ") + "; storage.StatusOf(NAME) shows one"
	}
	return because(dm.ErrNotFound, ErrNotFound, hint, "%s", text)
}

// openControl opens device-mapper, which only root may.
func openControl() (*dm.Control, error) {
	control, err := dm.Open()
	if errors.Is(err, fs.ErrPermission) {
		return nil, because(err, ErrPermission, "run it as root", "device-mapper may be used by root only")
	}
	return control, err
}

func mappingName(control *dm.Control, device dm.Device) (string, error) {
	all, err := control.List()
	if err != nil {
		return "", err
	}
	for _, m := range all {
		if _, ours := cryptLayer.volume(m); ours && m.Device == device {
			return m.Name, nil
		}
	}
	return "", refuse(ErrInvalid, "use umount", "what is mounted there (device %v) is not a store", device)
}

// kernelNames returns the names of the layers in the kernel's messages, as
// "dm-1", the upper one first.
func (l *live) kernelNames() []string {
	var names []string
	for _, layer := range []*layer{l.crypt, l.integrity} {
		if layer != nil {
			names = append(names, kernelName(layer.info.Device))
		}
	}
	return names
}
