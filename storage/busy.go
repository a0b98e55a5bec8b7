package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// howToName tells how a device is named.
const howToName = "name the block device by its path or as MAJ:MIN; lsblk lists them"

// notBlockDevice says what the name is of instead.
func notBlockDevice(name string, err error) error {
	info, statErr := os.Stat(name)
	switch {
	case statErr != nil:
		return because(err, ErrInvalid, howToName, "not a block device")
	case info.IsDir():
		return because(err, ErrInvalid, howToName, "a directory, not a block device")
	case info.Mode().IsRegular():
		return because(err, ErrInvalid, "attach it to one: storage.AttachBacking("+name+")", "a regular file, not a block device")
	case info.Mode()&fs.ModeCharDevice != 0:
		return because(err, ErrInvalid, howToName, "a character device, not a block device")
	}
	return because(err, ErrInvalid, howToName, "not a block device")
}

func explainLocked(err error) error {
	if !errors.Is(err, blockdev.ErrBusy) {
		return err
	}
	return because(err, ErrBusy, "let it finish, or stop it", "another program is working on the device, perhaps another create")
}

// explainBusy says who has the device, and how to free it.
func (c *claimed) explainBusy(err error) error {
	if !errors.Is(err, blockdev.ErrBusy) {
		return err
	}
	users, hint := usersOf(c.Number())
	if len(users) == 0 {
		return because(err, ErrBusy, "let it finish, or stop it", "another program has the device open exclusively")
	}
	return because(err, ErrBusy, hint, "in use by %s", strings.Join(users, ", "))
}

// usersOf names what uses a device or, when that is not idle, one of its
// partitions. What cannot be found out is left out.
func usersOf(number dm.Device) (users []string, hint string) {
	holders, _ := blockdev.Holders(number)
	for _, h := range holders {
		if h.Kind == blockdev.Partition {
			inside, insideHint := usersOfPartition(h.Name)
			users = append(users, inside...)
			hint = firstOf(hint, insideHint)
			continue
		}
		users = append(users, h.String())
		hint = firstOf(hint, freeing(h))
	}
	return users, hint
}

func usersOfPartition(name string) (users []string, hint string) {
	text, err := os.ReadFile(filepath.Join("/sys/class/block", name, "dev"))
	if err != nil {
		return nil, ""
	}
	number, err := dm.ParseDevice(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, ""
	}
	users, hint = usersOf(number)
	for i := range users {
		users[i] = fmt.Sprintf("%s (on partition %s)", users[i], name)
	}
	return users, hint
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// freeing is how to end one use of a device.
func freeing(h blockdev.Holder) string {
	switch h.Kind {
	case blockdev.Mounted:
		return "umount " + h.Name
	case blockdev.Swap:
		return "swapoff " + h.Name
	}
	if store := storeOf(h.Name); store != "" {
		return "storage.Close(" + store + ")"
	}
	return "remove " + h.Name + " with the program that made it"
}

// storeOf returns the name of the store that a mapping is a layer of, or "".
func storeOf(mapping string) string {
	control, err := dm.Open()
	if err != nil {
		return ""
	}
	defer control.Close()
	info, err := control.Info(mapping)
	if err != nil {
		return ""
	}
	return storeName(info)
}
