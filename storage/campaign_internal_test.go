package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// campaign is a host with a persistent volume of known contents on its disk, that
// answers whatever the kernel reads with superblocks and journals of its own.
type campaign struct {
	journalOf
	layout         integrity.Layout
	disk, other    string
	host           *storagetest.Faulty
	key            *Key
	written        []byte         // data of all known blocks, as on the disk
	tags           []byte         // theirs
	outcomes       map[string]int // how often what was seen
	superblockByte int64
}

const (
	campaignSize   = 84 << 20 // a journal of 5 sections
	campaignBlocks = 64
	campaignName   = "campaign"
)

// contents is what a block holds in a generation.
func contents(block uint64, generation byte) []byte {
	b := bytes.Repeat([]byte{generation}, blockSize)
	binary.LittleEndian.PutUint64(b, block)
	return b
}

func newCampaign(t *testing.T) *campaign {
	t.Helper()
	layout, err := integrity.Plan(campaignSize/sectorSize, dataSector, integrity.DefaultJournal)
	require.NoError(t, err)
	c := &campaign{layout: layout, disk: storagetest.Disk(t, campaignSize), other: storagetest.Disk(t, campaignSize),
		outcomes: map[string]int{}, superblockByte: dataSector * sectorSize}
	c.host = storagetest.NewFaulty(t, c.disk)
	c.sections, c.sectors = int(layout.JournalSections), layout.ProvidedSectors
	require.Greater(t, c.sections, 3, "the premise: a journal that goes round")
	c.key, err = NewKey(bytes.Repeat([]byte{0x80, 7}, 16)) // a random key, whose slot opens quickly
	require.NoError(t, err)
	t.Cleanup(c.key.Wipe)
	s, err := Create(t.Context(), c.host.Path(), CreateOptions{Name: campaignName, Key: c.key, MountPoint: NoMount})
	require.NoError(t, err)
	for generation := range byte(2) {
		c.write(t, generation)
		require.NoError(t, s.Close()) // brings it out of the journal
		c.remember(t)
		s, err = Open(t.Context(), c.host.Path(), c.key, OpenOptions{Name: campaignName, MountPoint: NoMount})
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	return c
}

func (c *campaign) write(t *testing.T, generation byte) {
	t.Helper()
	f, err := os.OpenFile(dm.Path(campaignName), os.O_WRONLY, 0)
	require.NoError(t, err)
	for block := range uint64(campaignBlocks) {
		_, err := f.Write(contents(block, generation))
		require.NoError(t, err)
	}
	require.NoError(t, errors.Join(f.Sync(), f.Close()))
}

// remember keeps what is on the disk, to put it back.
func (c *campaign) remember(t *testing.T) {
	t.Helper()
	c.written = storagetest.ReadBytes(t, c.disk, c.dataAt(), campaignBlocks*blockSize)
	c.tags = storagetest.ReadBytes(t, c.disk, c.tagAt(), campaignBlocks*integrity.TagSize)
	c.known = nil
	for block := range uint64(campaignBlocks) {
		c.known = append(c.known, block)
		c.pairs = append(c.pairs, pair{block, c.written[block*blockSize:][:blockSize], c.tags[block*integrity.TagSize:][:integrity.TagSize]})
	}
}

func (c *campaign) dataAt() int64 { return int64(c.layout.DataSector(0)) * sectorSize }
func (c *campaign) tagAt() int64  { return int64(c.layout.TagPosition(0)) }

// answer puts a superblock where the kernel would find it, on a host that does not
// care what is written there.
func (c *campaign) answer(t *testing.T, length int64, block []byte) {
	t.Helper()
	storagetest.WriteBytes(t, c.other, c.superblockByte, block)
	c.host.Set(t, storagetest.Fault{Offset: c.superblockByte, Length: length, Kind: storagetest.Forged, With: c.other})
}

// open opens the volume, whose superblock is right when we read it, with a journal
// of the host's.
func (c *campaign) open(t *testing.T) {
	storagetest.WriteBytes(t, c.disk, c.dataAt(), c.written)
	storagetest.WriteBytes(t, c.disk, c.tagAt(), c.tags)
	storagetest.WriteBytes(t, c.disk, c.superblockByte+blockSize, c.journalOf.make())
	c.host.Set(t)
	s, err := Open(t.Context(), c.host.Path(), c.key, OpenOptions{Name: campaignName, MountPoint: NoMount,
		failAfter: after("check integrity superblock", func() {
			c.answer(t, blockSize, c.superblock(c.layout.Superblock()))
		})})
	require.NoError(t, err, "what the host answers then is of no concern")
	c.read(t)
	require.NoError(t, s.Close())
}

// read reads blocks that were written, and some that were not: what can be read was
// written there, the last time or before.
func (c *campaign) read(t *testing.T) {
	f, err := os.OpenFile(dm.Path(campaignName), os.O_RDONLY|unix.O_DIRECT, 0)
	require.NoError(t, err)
	defer f.Close()
	page := alignedBlocks(blockSize)
	for block := range uint64(campaignBlocks + 8) {
		_, err := f.ReadAt(page, int64(block)*blockSize)
		switch {
		case err == nil && block < campaignBlocks && bytes.Equal(page, contents(block, 1)):
			c.outcomes["as it was"]++
		case err == nil && block < campaignBlocks && bytes.Equal(page, contents(block, 0)):
			c.outcomes["old"]++
		case errors.Is(err, unix.EILSEQ):
			c.outcomes["not authentic"]++
		case errors.Is(err, unix.EIO):
			c.outcomes["journal refused"]++
		default:
			require.Failf(t, "foreign data", "block %d begins with %x (%v)", block, page[:16], err)
		}
	}
}

// create makes a new store on a host that has its own superblock and journal, and
// keeps them.
func (c *campaign) create(t *testing.T, key *Key) {
	length := int64(blockSize)
	block := c.superblock(c.layout.Superblock())
	if key == nil { // nothing of a journal is on the disk
		block = append(block, c.journalOf.make()[:integrity.JournalSection*sectorSize]...)
		length = int64(len(block))
	}
	c.answer(t, length, block)
	s, err := Create(t.Context(), c.host.Path(), CreateOptions{Name: campaignName, MountPoint: NoMount, Key: key, Overwrite: OverwriteAnything})
	require.NoError(t, err)
	c.write(t, 7)
	f, err := os.Open(dm.Path(campaignName))
	require.NoError(t, err)
	got := make([]byte, blockSize)
	_, err = f.ReadAt(got, 5*blockSize)
	require.NoError(t, errors.Join(err, f.Close(), s.Close()))
	require.Equal(t, contents(5, 7), got)
	c.outcomes["created"]++
}

// tainted are the kernel's own marks of an oops, a warning and the like.
func tainted(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/kernel/tainted")
	require.NoError(t, err)
	return strings.TrimSpace(string(text))
}

// Random superblocks and journals, answered at each read of the kernel: it goes on,
// and no block holds what was not written to it.
func TestRandomSuperblocksAndJournals(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity", "flakey")
	storagetest.CheckLeaks(t)
	rounds, before := 30, tainted(t)
	if os.Getenv("TRUSTED_STORE_SOAK") != "" {
		rounds = 10_000
	}
	c := newCampaign(t)
	image := storagetest.TakeSnapshot(t, c.disk, 0, 0)
	for round := range rounds {
		c.Rand = rand.New(rand.NewPCG(14, uint64(round)))
		switch round % 15 {
		case 0:
			c.create(t, nil)
		case 1:
			c.create(t, c.key)
		default:
			c.open(t)
		}
		if round%15 < 2 {
			image.Replay(t)
		}
		require.Equal(t, before, tainted(t), "round %d", round)
	}
	t.Log(c.outcomes)
	for _, what := range []string{"as it was", "old", "not authentic", "journal refused", "created"} {
		require.Positive(t, c.outcomes[what], "the premise: %q is seen", what)
	}
}
