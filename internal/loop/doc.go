// Package loop attaches files to loop devices.
//
//	d, err := loop.Attach("disk.img", loop.Options{})
//	use(d.Path())
//	err = errors.Join(d.Close(), loop.Detach(d.Path()))
//
// A device is configured in one atomic step (LOOP_CONFIGURE, Linux 5.8), so any
// number of processes may attach at once. Everything here needs root. Sizes are
// bytes.
//
// Sources: loop(4); drivers/block/loop.c and include/uapi/linux/loop.h.
package loop
