package storetab

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// The units that are installed: the template that makes a store, and the one that
// says what is wrong with the table.
const (
	template = "trusted-store@.service"
	faulty   = "trusted-store-tab.service"
)

// needed are the units that do not start without the stores: local-fs.target fails
// as with an fstab, and the agent stays away also where nothing asks for that target.
var needed = []string{"local-fs.target", "kata-agent.service"}

// NoFail is the option of a store without which the machine may go on.
const NoFail = "nofail"

// Has tells whether the entry has an option of that name.
func (e Entry) Has(option string) bool {
	for _, o := range e.Options {
		if o.Name == option {
			return true
		}
	}
	return false
}

// WriteUnits writes to a generator's directory what starts the entries' stores: an
// instance of the template each, wanted or required, after the mounts it lies on.
func WriteUnits(dir string, entries []Entry) error {
	for _, e := range entries {
		unit := "trusted-store@" + e.Name + ".service"
		if err := writeFile(filepath.Join(dir, unit+".d", "tab.conf"), e.dropIn()); err != nil {
			return err
		}
		kind := ".requires"
		if e.Has(NoFail) {
			kind = ".wants"
		}
		if err := link(dir, kind, unit, template); err != nil {
			return err
		}
	}
	return nil
}

// WriteFaulty has the machine start as if a store had failed, in a unit whose
// journal tells what is wrong with the table.
func WriteFaulty(dir string) error { return link(dir, ".requires", faulty, faulty) }

func (e Entry) dropIn() string {
	text := fmt.Sprintf("# %s, line %d\n[Unit]\nSourcePath=%[1]s\n", DefaultFile, e.Line)
	if e.MountPoint != NoMount {
		text += "RequiresMountsFor=" + path.Dir(e.MountPoint) + "\n"
	}
	return text
}

// link lets the units that need stores have unit; its file, which other directories
// of systemd have, is named as systemd wants it.
func link(dir, kind, unit, file string) error {
	for _, n := range needed {
		if err := os.MkdirAll(filepath.Join(dir, n+kind), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("../"+file, filepath.Join(dir, n+kind, unit)); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}
