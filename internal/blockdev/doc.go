// Package blockdev opens block devices and says what is on them and who uses
// them.
//
//	d, err := blockdev.Open("/dev/sda", blockdev.Options{})   // or "8:0"
//	err = d.Lock()
//	found, err := blockdev.Signature(d.File(), d.Size())
//	users, err := blockdev.Holders(d.Number())
//
// [Signature] is pure and works on any io.ReaderAt. Nothing that it reads is
// trusted beyond being named to a person: a device without a signature is not
// proof of a blank device, and a signature is not proof of a file system.
//
// Sizes are bytes. Opening a device needs the right to do so, usually root.
package blockdev
