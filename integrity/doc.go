// Package integrity lays out, formats and activates the dm-integrity layer that
// keeps an authentication tag of 32 bytes beside each block of 4096.
//
// dm-integrity only stores the tags; the dm-crypt device on top makes and checks
// them. So nothing here needs a key, and nothing here protects alone.
//
//	layout, err := integrity.Plan(deviceSectors, 32768, integrity.MinimalJournal)
//	err = integrity.Format(ctx, integrity.Mapping{Name: "x_dif", UUID: id, Device: disk, Layout: layout})
//
//	layout, err := integrity.Read(disk, 32768) // an existing one
//	err = integrity.Activate(ctx, integrity.Mapping{…})
//
// # The superblock is not trusted
//
// It lies on a device that the host can change, and the kernel believes it: a
// zeroed one makes the kernel format anew, a shrunk one would shrink the volume,
// others stop the kernel. Therefore this package computes what a superblock must be,
// from a size that the device may have had and the choice of the journal; [Read]
// compares every byte of 4096, and plans for the size that it has now. And the kernel never reads the device's: below a layer's mapping,
// "x_dif", is another one, "x_data" ([Below]), of the device but for the superblock,
// which comes from memory of this machine. Format lets the kernel make it there,
// compares what came of it, and writes it to the device for the next Read.
//
// # Journal
//
// [Journaled] writes twice, and a crash leaves old or new blocks. [Direct]
// writes once; after a crash a block that was being written may be unreadable,
// never wrong. The kernel holds the journal in memory in both modes, so
// [MinimalJournal] (132 KiB) suits a volume that dies with the guest, and
// [DefaultJournal] (1/128 of the device, 64 MiB at most) is what cryptsetup makes.
//
// A journal that is to survive is on the device, and nothing authenticates it: the
// host decides what is replayed. dm-crypt finds all but old blocks with their old
// tags. That of an ephemeral layer ([Mapping].Ephemeral) is in memory as well.
//
// # Larger devices
//
// Where things are follows from the journal, which is fixed when the layer is
// formatted: on a larger device [Layout.Resize] keeps all in its place. [Activate]
// takes the new space, [Resize] does for a live layer, and [WriteSuperblock] notes
// it on the device. The new blocks are unreadable until they are written.
//
// # Tags in memory
//
// Tags on the device cannot tell an old block with its old tag, put back by the
// host, from the present one. With [PlanSeparate] the device holds nothing but
// data, and superblock, journal and tags are in [TagMemory]: guest memory, taken
// as the volume is written. Such a layer dies with its mapping.
//
//	layout, err := integrity.PlanSeparate(dataSectors)
//	tags, err := integrity.NewTagMemory(layout)
//	err = tags.Reserve(layout, 0, sectorsThatMayBeWritten)
//	err = integrity.Format(ctx, integrity.Mapping{…, Layout: layout, Tags: tags, Ephemeral: true, Mode: integrity.Direct})
//
// # Units, privileges, errors
//
// Positions and lengths are sectors of 512 bytes. [Plan], [ParseSuperblock] and
// [Superblock.Check] are pure; the rest needs CAP_SYS_ADMIN, dm-integrity and loop
// devices in the kernel, and the device not in use. Errors wrap the sentinels of this package.
//
// Source: drivers/md/dm-integrity.c of Linux, whose geometry the formulas in
// [Plan] restate; the tests compare them with a running kernel at many sizes.
package integrity
