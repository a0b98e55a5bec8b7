// Package cryptsetup writes, reads and judges LUKS2 headers, and activates the
// volumes that they describe as dm-crypt devices.
//
// # What it is for
//
// A guest gets a block device from a host that it does not trust. The header at
// its start says how the rest is encrypted, and is protected by a checksum only:
// whoever holds the device can rewrite it. So this package does not implement
// everything that LUKS2 can express. It accepts one exact set of values, the
// profile, and rejects every other header with all of its violations by name.
//
//	h, err := cryptsetup.New(key, cryptsetup.Options{})    // a new volume
//	h, err := cryptsetup.Read(device, cryptsetup.Profile{}) // an existing one
//
// The two are never mixed: a failed Read is not an invitation to call New.
//
// # The volume
//
// Data starts 16 MiB into the device and runs to its end, in sectors of 4096
// bytes, encrypted with aes-xts-plain64. With [HMACSHA256], the default, each
// sector has an authentication tag that the dm-integrity layer below keeps, and
// the volume key is 96 bytes: 64 for AES-256-XTS, then 32 for HMAC-SHA256. With
// [None] there are no tags and the volume key is 64 bytes.
//
// Up to eight key slots hold the volume key, each wrapped under its own
// passphrase. A header without any is valid, and right for a volume whose key
// is never stored: there is nothing in it to attack. Such a header of ours says how
// long the key is, for `cryptsetup status`, in a member of "keyslots" that is none.
//
// # Reading
//
// [Read] does one read of the metadata, at most 3,112,960 bytes, and decides
// and acts on those bytes only; a device that answers differently the next time
// gains nothing. Both copies of the header must be whole, right and equal. There
// is no recovery of one copy from the other unless the caller asks for it by
// [Recover]. Key derivation costs are bounded before memory is allocated.
// [Inspect] applies the same rules to bytes in memory and reports instead of
// failing.
//
// # Writing
//
// [New], [Header.AddKeyslot] and [Header.RemoveKeyslot] are pure: they change
// the header in memory. [Header.Write] puts it on the device, and
// [Header.WriteSync] does that with the flushes that an existing volume needs.
//
// # Authentication
//
// [Header.Authenticate] puts an HMAC under a key derived from the volume key into a token
// of the header, with an epoch that rises each time. [Header.CheckAuthentic] compares it
// once the header is unlocked: a host can then put back an old header as a whole, and no
// mixture of two. A caller who keeps the epoch, or [Profile].ExpectFingerprint, where the
// host cannot change it detects the old one, too.
//
// # What it does not promise
//
// LUKS1, detached headers, re-encryption, other tokens, other
// ciphers and sector sizes are rejected. [Argon2id] and [PBKDF2] leave
// intermediate values in memory that the Go runtime owns; what this package
// holds itself is wiped.
//
// # Privileges
//
// Everything but activation works for any user, on any [io.ReaderAt].
// Activation needs CAP_SYS_ADMIN and the kernel's device-mapper.
//
// Sources: LUKS2 On-Disk Format Specification 1.1.x (sections 2, 3 and 4);
// cryptsetup 2.6, 2.7 and 2.8 for what real headers hold.
package cryptsetup
