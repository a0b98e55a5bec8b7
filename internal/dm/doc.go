// Package dm is the one place that speaks to the kernel's device-mapper.
//
// A [Table] is built from typed targets ([Linear], [Integrity], [Crypt], and
// fault targets for tests) and never from text that somebody else supplied. A
// [Control] turns it into a device in the usual four steps:
//
//	c, err := dm.Open()
//	dev, err := c.Create(name, uuid)            // a device without a table
//	err = c.Load(name, table, dm.LoadOptions{}) // an inactive table
//	err = c.Resume(name)                        // live, with /dev/mapper/<name>
//	err = c.Remove(ctx, name)
//
// # Nodes
//
// Where udev runs it makes the node, and Resume waits for it; the events carry
// the flags that keep udev's rules from probing a device whose blocks have no
// tags yet. Where udev does not run, Resume makes the node itself with mode
// 0600 and Remove deletes it.
//
// # Units, errors, privileges
//
// All positions and lengths are in sectors of 512 bytes. Every failure is an
// [*OpError] that wraps one of this package's sentinels where there is one, and
// the errno. Everything here needs CAP_SYS_ADMIN. A Control may be used by
// several goroutines at once.
//
// Sources: include/uapi/linux/dm-ioctl.h and drivers/md/dm-ioctl.c of the
// kernel; Documentation/admin-guide/device-mapper for the targets.
package dm
