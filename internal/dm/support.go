package dm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Version is the version of a target in the kernel.
type Version struct{ Major, Minor, Patch uint32 }

// String returns "1.24.0" or the like.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// AtLeast reports whether v is not older than major.minor.
func (v Version) AtLeast(major, minor uint32) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// Version returns the version of device-mapper's interface.
func (c *Control) Version() (Version, error) {
	r, err := c.run(request{command: unix.DM_VERSION})
	if err != nil {
		return Version{}, opError("version", "", classify(err))
	}
	v := r.header.Version
	return Version{v[0], v[1], v[2]}, nil
}

// Targets returns the targets that the kernel has now. One that is a module
// appears after its first use: the kernel loads modules when a table asks for
// them.
func (c *Control) Targets() (map[string]Version, error) {
	r, err := c.run(request{command: unix.DM_LIST_VERSIONS})
	if err != nil {
		return nil, opError("targets", "", classify(err))
	}
	targets, err := parseVersions(r.data)
	return targets, opError("targets", "", err)
}

// Target returns the version of one target and makes the kernel load its module
// first (Linux 5.5; an older kernel answers for what is loaded). A missing one
// gives [ErrNotSupported].
func (c *Control) Target(kind string) (Version, error) {
	// The answer is irrelevant: only a kernel that has the command loads.
	_, loadErr := c.run(request{command: unix.DM_GET_TARGET_VERSION, name: kind})
	targets, err := c.Targets()
	if err != nil {
		return Version{}, err
	}
	version, ok := targets[kind]
	if !ok {
		err = errors.Join(fmt.Errorf("%w: target %q is missing (%s)", ErrNotSupported, kind, hint(kind)), loadErr)
	}
	return version, opError("target", kind, err)
}

const versionHeader = 16 // next and three numbers, each u32

func parseVersions(b []byte) (map[string]Version, error) {
	targets := map[string]Version{}
	for len(b) > 0 {
		if len(b) < versionHeader {
			return nil, errShort
		}
		number := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
		targets[untilNUL(b[versionHeader:])] = Version{number(1), number(2), number(3)}
		next := number(0)
		if next == 0 {
			return targets, nil
		}
		if next < versionHeader || uint64(next) > uint64(len(b)) {
			return nil, errShort
		}
		b = b[next:]
	}
	return targets, nil
}

// hint says what a kernel must be built with for a target.
func hint(kind string) string {
	switch kind {
	case "integrity":
		return "CONFIG_DM_INTEGRITY, module dm-integrity"
	case "crypt":
		return "CONFIG_DM_CRYPT, module dm-crypt"
	case "linear", "error":
		return "CONFIG_BLK_DEV_DM, module dm-mod"
	}
	return "module dm-" + kind
}

// explainLoad finds out why the kernel refused a table. The kernel says EINVAL
// for a wrong table and for a target it does not have.
func (c *Control) explainLoad(name string, t Table, err error) error {
	switch {
	case errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV):
		if _, infoErr := c.info(name); infoErr == nil {
			return fmt.Errorf("%w: a device below does not exist: %w", ErrInvalidTable, err)
		}
	case errors.Is(err, unix.EINVAL):
		if kind := c.missing(t); kind != "" {
			return fmt.Errorf("%w: target %q is missing (%s): %w", ErrNotSupported, kind, hint(kind), err)
		}
		return fmt.Errorf("%w (see its log): %w", ErrInvalidTable, err)
	case errors.Is(err, unix.ENOENT):
		if cipher := t.cipher(); cipher != 0 {
			return fmt.Errorf("%w: cipher %s is missing (%s): %w", ErrNotSupported, cipher, cipher.hint(), err)
		}
	case errors.Is(err, unix.ENOKEY):
		return fmt.Errorf("the loading thread does not possess the logon key: %w", err)
	}
	return classify(err)
}

func (c *Control) missing(t Table) string {
	targets, err := c.Targets()
	if err != nil {
		return ""
	}
	for _, l := range t {
		if _, ok := targets[l.Target.Kind()]; !ok {
			return l.Target.Kind()
		}
	}
	return ""
}

func (t Table) cipher() Cipher {
	for _, l := range t {
		if crypt, ok := l.Target.(Crypt); ok {
			return crypt.Cipher
		}
	}
	return 0
}

// hint says what a kernel must have for a cipher.
func (c Cipher) hint() string {
	if c == AEGIS128Random {
		return "CONFIG_CRYPTO_AEGIS128, module aegis128"
	}
	return "modules authenc, hmac, sha256, xts, aes, ecb"
}
