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

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// The kernel's UUIDs of the mappings begin like this; the volume's UUID without
// dashes follows, then the name. The first two are libcryptsetup's, which is how
// its tools and ours know each other's mappings. It has none like the third: what it
// opens reads superblock and journal from the device.
const (
	cryptPrefix     = "CRYPT-LUKS2-"
	integrityPrefix = "CRYPT-INTEGRITY-"
	dataPrefix      = integrity.BelowPrefix
)

// live is what the kernel has of one store.
type live struct {
	name      string
	crypt     *layer // nil: not there
	integrity *layer // nil: not there, as in a volume without integrity
	data      *layer // nil: not there, as in a volume without integrity, or that cryptsetup opened
}

// layer is one mapping.
type layer struct {
	info  dm.Info
	table dm.Table
	deps  []dm.Device
}

// readLive reads all layers of a store. A mapping of that name which is not a
// LUKS2 volume's is refused; without any the error wraps dm.ErrNotFound.
func readLive(control *dm.Control, name string) (*live, error) {
	crypt, err := readLayer(control, name, cryptPrefix)
	if err != nil {
		return nil, err
	}
	integrity, err := readLayer(control, name+integritySuffix, integrityPrefix)
	if err != nil {
		return nil, err
	}
	data, err := readLayer(control, name+dataSuffix, dataPrefix)
	if err != nil {
		return nil, err
	}
	if crypt == nil && integrity == nil && data == nil {
		return nil, notFound("no such store is live")
	}
	return &live{name, crypt, integrity, data}, nil
}

// readLayer returns nil for a mapping that is not there, or no longer.
func readLayer(control *dm.Control, name, prefix string) (*layer, error) {
	l, err := readMapping(control, name, prefix)
	if errors.Is(err, dm.ErrNotFound) {
		return nil, nil
	}
	return l, err
}

func readMapping(control *dm.Control, name, prefix string) (*layer, error) {
	info, err := control.Info(name)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(info.UUID, prefix) {
		return nil, refuse(ErrInvalid, "use the program that made it", "a mapping of another program, not a store (its UUID is %q)", info.UUID)
	}
	l := &layer{info: info}
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
	for _, layer := range []struct{ suffix, prefix string }{{"", cryptPrefix}, {integritySuffix, integrityPrefix}, {dataSuffix, dataPrefix}} {
		name, found := strings.CutSuffix(mapping.Name, layer.suffix)
		if found && strings.HasPrefix(mapping.UUID, layer.prefix) {
			return name
		}
	}
	return ""
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
	return "", notFound("nothing is mounted there")
}

func notFound(text string) error {
	return because(dm.ErrNotFound, ErrNotFound, "trusted-store status lists those that are", "%s", text)
}

// openControl opens device-mapper, which only root may.
func openControl() (*dm.Control, error) {
	control, err := dm.Open()
	if errors.Is(err, fs.ErrPermission) {
		return nil, because(err, ErrInvalid, "run it as root", "device-mapper may be used by root only")
	}
	return control, err
}

func mappingName(control *dm.Control, device dm.Device) (string, error) {
	all, err := control.List()
	if err != nil {
		return "", err
	}
	for _, m := range all {
		if m.Device == device && strings.HasPrefix(m.UUID, cryptPrefix) {
			return m.Name, nil
		}
	}
	return "", refuse(ErrInvalid, "use umount", "what is mounted there (device %v) is not a store", device)
}

// volumeUUID returns the volume's UUID from that of a mapping.
func (l *layer) volumeUUID(prefix, name string) (uuid.UUID, error) {
	digits := strings.TrimSuffix(strings.TrimPrefix(l.info.UUID, prefix), "-"+name)
	return uuid.Parse(digits)
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
