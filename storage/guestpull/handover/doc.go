// Package handover reads what a host hands over to a guest for the root
// filesystem of a container: Kata's virtual volumes. It is text in, values out;
// nothing is mounted, opened or fetched.
//
// It arrives in two forms. A snapshotter adds the mount option
// io.katacontainers.volume to the mount of a writable layer; Kata's runtime turns
// that into a Storage for the agent in the guest. Use [FromMount] for the first
// and [FromStorage] for the second: both return the image that the guest shall
// pull by itself.
//
// # What is accepted
//
// Of the eight volume types one is for guest pull, [ImageGuestPull]. The others are
// recognised and checked, and refused as [ErrUnsupported] with their name, since
// with them the host provides the contents.
//
// JSON has to be exact: known names in their exact spelling, each once, no null, no
// text behind it, UTF-8, at most [MaxBytes].
//
// # What it does not promise
//
// Everything here was chosen by the host. A [Pull] is well-formed, not trusted: which
// images may run is for the guest's policy, whose best hold is a reference by digest.
// One contradiction is found here: the metadata's container type decides whether an
// agent unpacks the pause image of its own root filesystem, which no policy looks at
// again, so it has to agree with the source.
//
// # Sources
//
// The volume types and their fields are those of kata-types (mount.rs) in Kata
// Containers, and of mount_option.go in nydus-snapshotter v0.13.11.
package handover
