package dm

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Message sends a message to the target at a sector of a mapping and returns its
// answer, if it has one. Messages are for fault targets in tests, such as
// "addbadblock 60" for [Dust]. Source: drivers/md/dm-ioctl.c, target_message.
func (c *Control) Message(name string, sector uint64, message string) (string, error) {
	answer, err := c.message(name, sector, message)
	return answer, opError("message", name, err)
}

func (c *Control) message(name string, sector uint64, message string) (string, error) {
	if err := findable(name); err != nil {
		return "", err
	}
	if strings.ContainsRune(message, 0) {
		return "", fmt.Errorf("%q holds a NUL byte", message)
	}
	data := binary.NativeEndian.AppendUint64(nil, sector)
	data = append(append(data, message...), 0)
	r, err := c.run(request{command: unix.DM_TARGET_MSG, name: name, data: data})
	if err != nil {
		return "", classify(err)
	}
	if r.header.Flags&unix.DM_DATA_OUT_FLAG == 0 {
		return "", nil
	}
	return untilNUL(r.data), nil
}
