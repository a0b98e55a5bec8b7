package main

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// peer is what one does today with cryptsetup and mke2fs: an integrity layer
// that is not wiped, so that mke2fs would fail to read the blocks of which it
// writes only a part; these are written first. Or it is wiped.
type peer struct {
	programs
	title string
	kdf   []string
	wiped bool
	key   string
}

func (in *inside) peer(title string) (*peer, error) {
	key, err := in.randomKey()
	p := &peer{programs: in.programs(), title: title, key: key, wiped: title == wipeSide}
	if title != costlySide {
		p.kdf = []string{"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}
	}
	return p, err
}

func (p *peer) name() string       { return p.title }
func (p *peer) prepare(disk) error { return nil }
func (p *peer) device(disk) string { return dm.Path(mapping) }

func (p *peer) make(ctx context.Context, d disk, dir string) error {
	args := []string{"luksFormat", "--batch-mode", "--type", "luks2", "--cipher", "aes-xts-plain64",
		"--integrity", "hmac-sha256", "--sector-size", "4096", "--key-file", p.key}
	if !p.wiped {
		args = append(args, "--integrity-no-wipe")
	}
	args = append(append(args, p.kdf...), d.path)
	if err := p.run(ctx, append([]string{"cryptsetup"}, args...)...); err != nil {
		return err
	}
	if err := p.run(ctx, "cryptsetup", "luksOpen", "--key-file", p.key, d.path, mapping); err != nil {
		return err
	}
	if dir == "" {
		return nil
	}
	return p.filesystem(ctx, dir)
}

func (p *peer) filesystem(ctx context.Context, dir string) error {
	path := dm.Path(mapping)
	if err := writeSuperblockBlocks(path); err != nil {
		return err
	}
	err := p.run(ctx, "mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0",
		"-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", path)
	if err != nil {
		return err
	}
	return unix.Mount(path, dir, "ext4", unix.MS_NOATIME, "")
}

func (p *peer) remove(ctx context.Context, dir string) error {
	return errors.Join(unmount(dir), p.run(ctx, "cryptsetup", "close", mapping))
}

// writeSuperblockBlocks writes zeros to the block of each copy of the
// superblock: mke2fs writes a quarter of it, so that it is read first.
func writeSuperblockBlocks(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	zeros := aligned(blockSize)
	defer func() { err = errors.Join(err, unix.Munmap(zeros)) }()
	for _, group := range superblockGroups(uint64(size) / groupSize) {
		if _, err := f.WriteAt(zeros, int64(group*groupSize)); err != nil {
			return err
		}
	}
	return nil
}

// groupSize is the size of an ext4 block group in bytes.
const groupSize = 128 << 20

// superblockGroups lists the groups that hold a superblock, the last among them
// that the filesystem may have.
func superblockGroups(last uint64) []uint64 {
	groups := []uint64{0, 1}
	for _, base := range []uint64{3, 5, 7} {
		for g := base; g <= last; g *= base {
			groups = append(groups, g)
		}
	}
	return groups
}
