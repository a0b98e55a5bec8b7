package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/storetab"
	"github.com/trusted-store/trusted-store/storage"
)

// Options of a line of the table that are none of create's flags.
const (
	optionNoFail        = storetab.NoFail
	optionDeviceTimeout = "device-timeout"
)

// notOptions are the flags of create that are no options of a line: it has fields for
// them, or, since a store that is made at boot is ephemeral, no key.
var notOptions = []string{"help", "key", "mount", "name"}

// defaultDeviceTimeout is how long systemd, too, waits for a device.
const defaultDeviceTimeout = 90 * time.Second

// bootStore is a line of the table.
type bootStore struct {
	Name       string   `json:"name"`
	Device     string   `json:"device"`
	MountPoint string   `json:"mount_point"`
	Options    []string `json:"options"`

	entry   storetab.Entry
	timeout time.Duration
}

func addTab(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "tab", storetab.DefaultFile, "read the table from this `FILE`")
}

// readTab reads a table, which is right as a whole or an error.
func readTab(file string) ([]bootStore, error) {
	text, err := readBounded(file)
	if err != nil {
		return nil, err
	}
	entries, err := storetab.Parse(file, text)
	if err != nil {
		return nil, wrongTab(err)
	}
	stores := make([]bootStore, 0, len(entries))
	var wrong []error
	for _, e := range entries {
		s, err := newBootStore(e)
		if err != nil {
			wrong = append(wrong, &storetab.LineError{File: file, Line: e.Line, Err: err})
		}
		stores = append(stores, s)
	}
	if wrong != nil {
		return nil, wrongTab(errors.Join(wrong...))
	}
	return stores, nil
}

// readBounded reads little more than a table may have.
func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, wrongTab(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, storetab.MaxFile+1))
	if err != nil {
		return nil, wrongTab(err)
	}
	return text, nil
}

func wrongTab(err error) error {
	return &storage.Error{Op: "read table", What: "table of stores", Kind: storage.ErrInvalid, Err: err, Hint: "see trusted-store units --help"}
}

// newBootStore finds out whether the options mean something.
func newBootStore(e storetab.Entry) (bootStore, error) {
	s := bootStore{Name: e.Name, Device: e.Device.String(), MountPoint: e.MountPoint, Options: []string{}, entry: e, timeout: defaultDeviceTimeout}
	create := (&app{}).create()
	for _, o := range e.Options {
		s.Options = append(s.Options, o.String())
		if err := s.check(o, create); err != nil {
			return s, err
		}
	}
	err := create.ParseFlags(s.createFlags())
	if err == nil {
		err = create.PreRunE(create, nil)
	}
	if err != nil {
		return s, errors.New(err.Error()) // without create's hint
	}
	return s, nil
}

func (s *bootStore) check(o storetab.Option, create *cobra.Command) error {
	switch {
	case o.Name == optionDeviceTimeout:
		d, err := time.ParseDuration(o.Value)
		if err != nil || d < 0 {
			return fmt.Errorf("option %s: expected a time such as 90s or 2m", o)
		}
		s.timeout = d
	case o.Name == optionNoFail && o.Value != "":
		return fmt.Errorf("option %s: %s has no value", o, optionNoFail)
	case o.Name == optionNoFail:
	case o.Name == "key":
		return errors.New("option key: a store that is made at boot is ephemeral; open a volume that has a key with trusted-store open")
	case slices.Contains(notOptions, o.Name) || create.Flags().Lookup(o.Name) == nil:
		return fmt.Errorf("option %s is not known; trusted-store units --help tells which there are", o)
	}
	return nil
}

// createFlags are those that create gets for this store.
func (s *bootStore) createFlags() []string {
	flags := []string{"--name=" + s.Name}
	if s.MountPoint != storetab.NoMount || !s.entry.Has("swap") { // which has no mount point
		flags = append(flags, "--mount="+s.MountPoint)
	}
	for _, o := range s.entry.Options {
		if o.Name != optionNoFail && o.Name != optionDeviceTimeout {
			flags = append(flags, "--"+o.String())
		}
	}
	return flags
}
