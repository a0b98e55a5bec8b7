// Package securemount is the secure-mount service of a confidential guest: its
// agent names a block device of the untrusted host, and gets an encrypted,
// authenticated, mounted filesystem. It speaks the ttrpc protocol that Kata's agent
// speaks, and beside it one for what that lacks: unmount, status, list, grow,
// health.
//
// A program that serves both on a socket of its own:
//
//	server := securemount.New(securemount.Options{})
//	defer server.Close()
//	err := server.Adopt(ctx)
//	…
//	l, err := securemount.Listen(ctx, securemount.DefaultSocket)
//	…
//	err = securemount.Serve(ctx, l, nil, server.Register)
//
// An agent that has a ttrpc server calls [Server.Register] with it instead. The
// command trusted-guest serve is this package with flags. [Forward] passes on what the
// agent asks of other services over the same connection, and [Policy] is what no
// request can weaken.
//
// # Requests
//
// [ParseRequest] understands every option or refuses the request, with all that is
// wrong with it; nothing is ignored but what is documented to be. sourceType "empty"
// is the caller's statement to format. "encrypted" opens a volume, and never
// formats.
//
// The reply comes when the store can be used and has [Options.MinSize]; it grows on
// in the background, a large one as it fills ([Options.GrowFull]). A request that
// failed has left nothing behind. When the caller hangs up, or its time is over, what
// is half-made is taken away; a store that was whole by then, and only waited for its
// size, stays.
//
// The same request again finds the store and changes nothing. What is live is read
// from the kernel each time: there are no state files, so that a service that was
// killed and started again finds the stores, has them grow on, and takes away what
// was left half-made, in the background: only what a mark in the kernel says is not
// whole ([storage.CloseUnfinished]), whatever the device holds. A request that differs from what is live on the device is
// refused with the differences ([ConflictError]). What cannot be told from a live
// store is not compared: mkfsOpts, and whether it was formatted or opened.
//
// # Devices instead of filesystems
//
// With targetType "device" the mount point becomes a symbolic link to the mapping.
// It holds no filesystem, and with dataIntegrity no block of it can be read before
// it was written: most programs that make filesystems read first.
//
// # Keys
//
// The key's bytes go from the file or the socket straight into locked memory, and
// are wiped when the request is over. They are in no log and no error.
//
// # Errors
//
// Clients get a ttrpc status: InvalidArgument, AlreadyExists (it differs from what
// is live), PermissionDenied (wrong key, or the policy), FailedPrecondition (header
// rejected, device or kernel unsuitable), Unavailable (busy, or no key to be had: try
// again), DataLoss (the device is not what was written), Canceled, DeadlineExceeded,
// NotFound, Internal. Its text says what was being done, what is wrong, and what to
// do about it.
//
// It needs root, and of the kernel what package storage needs.
package securemount
