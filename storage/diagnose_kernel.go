package storage

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/loop"
)

func checkPrivilege() []Check {
	if isAdmin() {
		return []Check{passes("privilege", "root, or CAP_SYS_ADMIN")}
	}
	return []Check{fails("privilege", refuse(ErrPermission, "run it as root", "CAP_SYS_ADMIN is missing"), "")}
}

// isAdmin asks for the capability that device-mapper and mounts want.
func isAdmin() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	return unix.Capget(&header, &sets[0]) == nil && sets[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

func checkKernel() []Check {
	checks := append([]Check{checkRelease()}, checkDeviceMapper()...)
	return append(checks, checkLoop(), checkMemfd(), checkExt4(), checkKeyring())
}

const loadModule = "load the module, or use a kernel that has it"

// asked is the check of something that the kernel was asked for.
func asked(thing, found string, err error, options ...string) Check {
	switch {
	case err == nil:
		return passes(thing, found, options...)
	case errors.Is(err, os.ErrPermission) || !isAdmin():
		return warns(thing, "only root can find out", "run it as root", options...)
	}
	return fails(thing, err, loadModule, options...)
}

// targets is what a table is made of.
var targets = []struct {
	kind    string
	options []string
}{
	{"linear", []string{"CONFIG_BLK_DEV_DM"}},
	{"crypt", []string{"CONFIG_DM_CRYPT"}},
	{"integrity", []string{"CONFIG_DM_INTEGRITY"}},
}

func checkDeviceMapper() []Check {
	var version dm.Version
	control, err := openIfAdmin()
	if err == nil {
		defer control.Close()
		version, err = control.Version()
	}
	checks := []Check{asked("device-mapper", fmt.Sprint("version ", version), err, "CONFIG_MD", "CONFIG_BLK_DEV_DM")}
	for _, t := range targets {
		checks = append(checks, checkTarget(control, refuseWithout(err), t.kind, t.options))
	}
	return append(checks, checkCiphers(control, refuseWithout(err))...)
}

// checkTarget loads the target's module, unless err says that there is nobody to ask.
func checkTarget(control *dm.Control, err error, kind string, options []string) Check {
	if err != nil {
		return asked("target "+kind, "", err, options...)
	}
	version, err := control.Target(kind)
	return asked("target "+kind, fmt.Sprint("version ", version), err, options...)
}

// refuseWithout is why nothing can be asked of device-mapper, which has a check of
// its own.
func refuseWithout(err error) error {
	if errors.Is(err, dm.ErrNotSupported) {
		return refuse(ErrNotSupported, "see device-mapper, above", "there is no device-mapper")
	}
	return err
}

func openIfAdmin() (*dm.Control, error) {
	if !isAdmin() {
		return nil, os.ErrPermission
	}
	return dm.Open()
}

// checkLoop opens the node that loop devices are asked for with; opening it loads
// the module.
func checkLoop() Check {
	f, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err == nil {
		err = f.Close()
	} else if isAdmin() {
		err = loop.ErrNotSupported
	}
	return asked("loop devices", "there", err, "CONFIG_BLK_DEV_LOOP")
}

func checkMemfd() Check {
	fd, err := unix.MemfdCreate("doctor", unix.MFD_CLOEXEC)
	if err != nil {
		return fails("memory files", missing("memfd_create", err), loadModule, "CONFIG_MEMFD_CREATE")
	}
	_ = unix.Close(fd)
	return passes("memory files", "there", "CONFIG_MEMFD_CREATE")
}

// checkExt4 asks for a filesystem that is then not made; this loads the module.
func checkExt4() Check {
	fd, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err == nil {
		err = unix.Close(fd)
	} else if !errors.Is(err, unix.EPERM) {
		err = missing("ext4", err)
	}
	return asked("ext4", "there", err, "CONFIG_EXT4_FS")
}

func checkKeyring() Check {
	_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_PROCESS_KEYRING, true)
	if errors.Is(err, unix.ENOSYS) {
		return fails("keyrings", missing("keyctl", err), loadModule, "CONFIG_KEYS")
	}
	if err != nil {
		return warns("keyrings", err.Error(), "allow keyctl, which a sandbox may forbid", "CONFIG_KEYS")
	}
	return passes("keyrings", "there", "CONFIG_KEYS")
}

func missing(what string, err error) error {
	return refuse(ErrNotSupported, loadModule, "%s is missing: %w", what, err)
}
