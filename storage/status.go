package storage

import (
	"context"
	"errors"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// State says how much of a store is live.
type State string

const (
	// StateMounted: both layers are live, and the filesystem is mounted.
	StateMounted State = "mounted"
	// StateMapped: both layers are live, nothing of it is mounted in this
	// mount namespace.
	StateMapped State = "mapped"
	// StateSwap: both layers are live, and the kernel swaps to it.
	StateSwap State = "swap"
	// StateIncomplete: a process died on the way, or the live tables are not
	// those of the profile; Problems says what is wrong. Close removes it.
	StateIncomplete State = "incomplete"
)

// Promise is one property of a live store. They are different things. A store
// whose encryption layer has a problem keeps none, one whose integrity layer has a
// problem neither integrity nor freshness.
type Promise string

const (
	// Confidentiality: the host cannot read the contents.
	Confidentiality Promise = "confidentiality"
	// IntegrityOfBlocks: a changed or moved block cannot be read.
	IntegrityOfBlocks Promise = "integrity"
	// Freshness: an old block with its old tag, put back, cannot be read.
	Freshness Promise = "freshness"
	// HiddenRewrites: the host cannot see that a block was written again with the
	// contents that it had at some time. [AEGIS128] alone keeps it. Which blocks are
	// written when is visible always.
	HiddenRewrites Promise = "hidden-rewrites"
)

// Status is what is live of one store, read from the kernel: there are no state
// files. Sectors have 512 bytes.
type Status struct {
	Name     string   `json:"name"`
	State    State    `json:"state"`
	Problems []string `json:"problems,omitempty"` // how the live tables differ from the profile
	// Unfinished: a process of this project is making, opening or closing it, or died
	// while it did. CloseUnfinished removes what is left then.
	Unfinished bool      `json:"unfinished,omitempty"`
	UUID       string    `json:"uuid,omitempty"`
	Path       string    `json:"path"`
	Number     string    `json:"number,omitempty"` // MAJ:MIN of the mapping
	Promises   []Promise `json:"promises"`
	// Header is known to who created or opened a persistent store, and to nobody who asks
	// later: it takes the volume key, which the kernel does not give back.
	Header *HeaderStatus `json:"header,omitempty"`

	Type        string `json:"type"`
	Cipher      string `json:"cipher,omitempty"`
	KeyBits     int    `json:"key_bits,omitempty"` // of the cipher and the authentication together
	KeyLocation string `json:"key_location,omitempty"`
	SectorSize  int    `json:"sector_size,omitempty"` // of the encryption, in bytes
	Integrity   string `json:"integrity"`             // "hmac(sha256)", "aead" or "none"
	Tags        string `json:"tags,omitempty"`        // where the tags are: "device" or "memory"
	Journal     string `json:"journal,omitempty"`     // of the integrity layer: "journaled", or "direct" without

	Device       string `json:"device,omitempty"`
	DeviceNumber string `json:"device_number,omitempty"`
	DeviceBytes  uint64 `json:"device_bytes,omitempty"`
	Offset       uint64 `json:"offset_sectors"`
	Sectors      uint64 `json:"sectors"`

	Mounts          []Mount         `json:"mounts,omitempty"`
	Filesystem      *Filesystem     `json:"filesystem,omitempty"` // nil when not mounted
	Growth          *Growth         `json:"growth,omitempty"`     // nil when not mounted, or nothing that is grown
	Swap            *SwapUse        `json:"swap,omitempty"`       // nil unless it is swap
	TagMemory       *TagMemory      `json:"tag_memory,omitempty"` // nil unless the tags are in memory
	IntegrityErrors IntegrityErrors `json:"integrity_errors"`     // unknown without integrity: nothing detects any
}

// HeaderStatus is a [HeaderState] in a [Status].
type HeaderStatus struct {
	VolumeFingerprint string `json:"volume_fingerprint"` // hex
	Authenticated     bool   `json:"authenticated"`
	Epoch             uint64 `json:"epoch,omitempty"`
}

// Mount is one place at which a store is mounted.
type Mount struct {
	Dir     string `json:"dir"`
	Options string `json:"options"`
}

// Filesystem is what statfs(2) says of the mounted filesystem.
type Filesystem struct {
	Type           string `json:"type"`
	Bytes          uint64 `json:"bytes"`
	AvailableBytes uint64 `json:"available_bytes"`
	Inodes         uint64 `json:"inodes"`
	FreeInodes     uint64 `json:"free_inodes"`
}

// List returns the status of every live store, sorted by name, also of those
// that cryptsetup opened or that a dead process left half-made. Mappings of other
// programs are left out. What of one store cannot be read is among its problems,
// and hides no other. It needs root.
func List(context.Context) ([]Status, error) {
	control, err := openControl()
	if err != nil {
		return nil, failure("status", "", "", err)
	}
	defer control.Close()
	names, err := storeNames(control)
	if err != nil {
		return nil, failure("status", "", "", err)
	}
	list, layers := listOf(names, func(name string) (*Status, []string, error) { return readStatus(control, name) })
	for i, errs := range integrityErrors(layers...) {
		list[i].IntegrityErrors = errs
	}
	return list, nil
}

// listOf returns the status of each store, and the layers that detect integrity
// errors.
func listOf(names []string, read func(string) (*Status, []string, error)) (list []Status, layers [][]string) {
	list = make([]Status, 0, len(names))
	for _, name := range names {
		s, ofStore, err := read(name)
		switch {
		case errors.Is(err, dm.ErrNotFound), errors.Is(kindOf(err), ErrInvalid): // closed since, or its name taken
			continue
		case err != nil:
			s = newStatus(name)
			s.State = StateIncomplete
			s.addProblem("cannot be read: %v", err)
		}
		list, layers = append(list, *s), append(layers, ofStore)
	}
	return list, layers
}

func newStatus(name string) *Status {
	return &Status{Name: name, Path: dm.Path(name), Type: "LUKS2", Integrity: "none", Promises: []Promise{}}
}

// StatusOf returns the status of one live store, named by its name, its node
// under /dev/mapper or a directory where it is mounted; [ErrNotFound] when there
// is none. Unlike List it reads one block of the device: one that fails, is gone or
// does not answer within 10 seconds is among the problems. It needs root.
func StatusOf(ctx context.Context, nameOrDir string) (*Status, error) {
	control, err := openControl()
	if err != nil {
		return nil, failure("status", nameOrDir, "", err)
	}
	defer control.Close()
	name, err := resolveName(control, nameOrDir)
	if err != nil {
		return nil, failure("status", nameOrDir, "", err)
	}
	s, err := statusOf(ctx, control, name)
	if err == nil {
		s.probeDevice(ctx)
	}
	return s, failure("status", nameOrDir, "", err)
}

func statusOf(_ context.Context, control *dm.Control, name string) (*Status, error) {
	s, layers, err := readStatus(control, name)
	if err != nil {
		return nil, err
	}
	s.IntegrityErrors = integrityErrors(layers)[0]
	return s, nil
}

// readStatus returns all but what the kernel's log tells, and the layers that
// detect integrity errors: none without integrity.
func readStatus(control *dm.Control, name string) (s *Status, layers []string, err error) {
	live, err := readLive(control, name)
	if err != nil {
		return nil, nil, err
	}
	s = newStatus(name)
	live.describe(s)
	live.describeMark(s)
	if live.crypt == nil {
		return s, nil, nil
	}
	if live.integrity != nil {
		layers = live.kernelNames()
	}
	if err := s.addMounts(live.crypt.info.Device); err != nil {
		return nil, nil, err
	}
	if s.Filesystem != nil {
		s.Growth = growthOf(live.crypt.info)
	}
	if s.Swap, err = swapUseOf(live.crypt.info.Device); err != nil {
		return nil, nil, err
	}
	s.nameState()
	return s, layers, nil
}

// nameState says what is done with a store that is whole.
func (s *Status) nameState() {
	switch {
	case s.State == StateIncomplete:
	case len(s.Mounts) > 0:
		s.State = StateMounted
	case s.Swap != nil:
		s.State = StateSwap
	default:
		s.State = StateMapped
	}
}

func (s *Status) addMounts(device dm.Device) error {
	entries, err := mountinfo.GetMounts(ofDevice(device))
	if err != nil {
		return err
	}
	for _, m := range entries {
		s.Mounts = append(s.Mounts, Mount{m.Mountpoint, m.Options})
		if s.Filesystem == nil {
			s.Filesystem = statfs(m)
		}
	}
	return nil
}

// statfs leaves the filesystem out where it cannot be asked, as for a mount that
// another one covers.
func statfs(m *mountinfo.Info) *Filesystem {
	var st unix.Statfs_t
	if err := unix.Statfs(m.Mountpoint, &st); err != nil {
		return nil
	}
	unit := uint64(st.Frsize)
	return &Filesystem{
		Type: m.FSType, Bytes: st.Blocks * unit, AvailableBytes: st.Bavail * unit,
		Inodes: st.Files, FreeInodes: st.Ffree,
	}
}
