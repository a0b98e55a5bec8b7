package storage_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// The integrity superblock has no checksum and the kernel believes it. Every
// change is refused by name before the kernel sees it.
func TestOpenRefusesSuperblocks(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	persistent(t, disk, longKey, "", storage.CreateOptions{})
	block := storagetest.ReadBlock(t, disk, superblockOffset/4096)
	good, err := integrity.ParseSuperblock(block)
	require.NoError(t, err)
	for name, attack := range map[string]struct {
		rule string
		edit func(s *integrity.Superblock)
	}{
		"zeroed":              {integrity.RuleZeroed, func(s *integrity.Superblock) { *s = integrity.Superblock{} }},
		"no magic":            {integrity.RuleMagic, func(s *integrity.Superblock) { s.Magic[0] ^= 1 }},
		"0 sectors":           {integrity.RuleProvided, func(s *integrity.Superblock) { s.ProvidedSectors = 0 }},
		"one sector less":     {integrity.RuleProvided, func(s *integrity.Superblock) { s.ProvidedSectors-- }},
		"one block more":      {integrity.RuleProvided, func(s *integrity.Superblock) { s.ProvidedSectors += 8 }},
		"larger journal":      {integrity.RuleJournal, func(s *integrity.Superblock) { s.JournalSections++ }},
		"no journal":          {integrity.RuleJournal, func(s *integrity.Superblock) { s.JournalSections = 0 }},
		"short interleave":    {integrity.RuleInterleave, func(s *integrity.Superblock) { s.Log2InterleaveSectors = 14 }},
		"short tags":          {integrity.RuleTagSize, func(s *integrity.Superblock) { s.TagSize = 4 }},
		"small blocks":        {integrity.RuleBlockSize, func(s *integrity.Superblock) { s.Log2SectorsPerBlock = 0 }},
		"newer version":       {integrity.RuleVersion, func(s *integrity.Superblock) { s.Version = 6 }},
		"older version":       {integrity.RuleVersion, func(s *integrity.Superblock) { s.Version = 1 }},
		"padding not fixed":   {integrity.RuleFlags, func(s *integrity.Superblock) { s.Flags = 0 }},
		"recalculating":       {integrity.RuleFlags, func(s *integrity.Superblock) { s.Flags |= 2 }},
		"dirty bitmap":        {integrity.RuleFlags, func(s *integrity.Superblock) { s.Flags |= 4 }},
		"recalculated so far": {integrity.RuleRecalculate, func(s *integrity.Superblock) { s.RecalculateSector = 8 }},
		"bitmap granularity":  {integrity.RuleBitmap, func(s *integrity.Superblock) { s.Log2BlocksPerBitmapBit++ }},
		"salt":                {integrity.RuleReserved, func(s *integrity.Superblock) { s.Salt[0] = 1 }},
		"rest":                {integrity.RuleReserved, func(s *integrity.Superblock) { s.Rest[len(s.Rest)-1] = 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			attack.edit(&bad)
			storagetest.WriteBlock(t, disk, superblockOffset/4096, bad.Bytes())
			_, err := tryOpen(t, disk, "wrong", storage.OpenOptions{})
			require.ErrorIs(t, err, storage.ErrWrongKey, "nobody without the key gets this far")

			before, events := writes(t, disk), kernelEvents(t)
			_, err = tryOpen(t, disk, longKey, storage.OpenOptions{})
			require.ErrorIs(t, err, storage.ErrHeaderRejected)
			require.Contains(t, superblockRules(err), attack.rule, "%v", err)
			require.Equal(t, events, kernelEvents(t), "the kernel has seen it")
			require.Equal(t, before, writes(t, disk))
		})
	}
	storagetest.WriteBlock(t, disk, superblockOffset/4096, block)
	open(t, disk, longKey, storage.OpenOptions{})
}

// A superblock that says less than the device has is one of before the device was
// enlarged. Nobody makes a volume smaller by it.
func TestSmallerSuperblockMakesNoSmallerVolume(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	persistent(t, disk, longKey, "kept", storage.CreateOptions{})
	good := storagetest.ReadBlock(t, disk, superblockOffset/4096)
	s, err := integrity.ParseSuperblock(good)
	require.NoError(t, err)
	full := s.ProvidedSectors
	for _, provided := range []uint64{8, full - 8} {
		s.ProvidedSectors = provided
		storagetest.WriteBlock(t, disk, superblockOffset/4096, s.Bytes())
		store := open(t, disk, longKey, storage.OpenOptions{})
		require.Equal(t, "kept", readFile(t, filepath.Join(store.MountPoint(), "f")))
		status, err := store.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, full, status.Sectors)
		require.Equal(t, good, storagetest.ReadBlock(t, disk, superblockOffset/4096), "put right")
		require.NoError(t, store.Close())
	}
}
