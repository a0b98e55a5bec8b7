// Package guestpull pulls container images inside a guest onto a store, and
// mounts them.
//
//	images := guestpull.New(storage.DefaultMountPoint, guestpull.Options{})
//	image, err := images.Pull(ctx, "registry.example/app:1", guestpull.PullOptions{Bundle: bundle})
//	…
//	err = images.Release(ctx, bundle)
//
// # What is on the store
//
//	layers/N                       one unpacked layer, in the form of the kernel's overlay
//	overlay/ID/{upperdir,workdir}  what is written in one bundle
//	images.json                    what of it is whole
//	lock                           held by the process that works on it
//
// Layers are streamed, three at a time, and decompressed (gzip, zstd) on the way:
// nothing compressed reaches the disk. Layers that images have in common, with all
// below them, are there once. The index is replaced in one step once everything
// it speaks of is on the disk; what a process that died left beside it is removed
// by the next.
//
// # What is checked
//
// The digests of manifest, config and every layer, and the diff_id of what each
// unpacks to. Whether a document is an image or a list of images is told by its own
// bytes, not by what a registry calls it; one that could be both is refused.
//
// Refused with [ErrRejected] are names outside of the layer, names of more than
// 4095 bytes or 255 for one component, hard links to what is not there, device 0:0,
// manifests and configs of more than 4 MiB, zstd windows above 8 MiB, compressed
// data that unpacks to nothing, and sparse files of more than 4 GiB together. What
// layers unpack to is bounded by the size of the store, or by [Options].MaxBytes:
// bytes in blocks of 4096, entries, and headers of archives: [ErrNoRoom]. A
// registry that says nothing for 30 seconds, sends less than 1 KiB a second, breaks
// off again and again, leads from TLS to plain http, or from elsewhere to what only
// this guest can reach is left: [ErrRegistry]. After any of these nothing of the
// pull is on the store.
//
// A name with a tag is what the registry says it is. A name with a digest is
// that very image, whoever serves it. Who may have made it is for [Options].Policy:
// without one nobody is asked. What the policy wants is verified before any layer is
// asked for: [ErrBlocked].
//
// # Differences from the layer's archive
//
// Extended attributes trusted.* of an archive are left out: they belong to the
// kernel's overlay. Attributes that the store's filesystem does not have are left
// out, too; ext4 has them all. A whiteout of what no layer below has is left out.
//
// # Differences from containerd
//
// An image looks as when containerd's applier unpacks each layer onto a mounted
// overlay of those below, but for this:
//
//   - Layers are unpacked at the same time, so a name through a symbolic link, or a
//     file, of a layer below makes a directory in its place.
//   - A directory has the extended attributes of its highest entry alone.
//   - What an archive says of its root directory counts.
//   - An opaque directory hides what is below, never what the same archive has.
//   - A directory that the same archive removes again is no error.
//   - A name outside of the layer is refused, not brought inside.
//   - A program with capabilities, setuid or setgid keeps its own attributes,
//     whatever the entry of another name of it says.
//   - A directory without an entry of its own keeps the time that it has below.
//
// # Registries
//
// Of a list, also in lists, the image is taken that containerd takes: see package
// github.com/containerd/platforms. A busy registry is asked again, and the rest of a
// layer whose connection broke is asked for. Plain http is for the registry that the
// caller named so, and for what it leads to within its own kind of place (this
// machine, a private network, the internet). Addresses are looked at when they are
// dialled; what a proxy connects to is the proxy's to check.
//
// Credentials are those of the smallest part of the registry that the image is in.
// They go to the registry and to the token service that it names, nowhere else.
//
// Encrypted layers are decrypted with keys of the guest's key provider, by package
// containers/ocicrypt, which keeps them in ordinary memory while it does.
//
// # Mounts
//
// An image is mounted without nodev and nosuid, as agents do: what a container may
// do with device nodes and set-user-ID programs is for its runtime to say.
//
// # Processes
//
// Calls on one [Images] run at the same time and share layers that are under way.
// Another process, or another Images of the same directory, waits until they are
// through. It needs root and, for bundles, overlay in the kernel. It runs no other
// program but credential helpers that [Options] names.
//
// Sizes are bytes. Errors are [storage.Error].
package guestpull
