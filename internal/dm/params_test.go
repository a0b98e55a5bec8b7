package dm_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/dm"
)

var below = dm.Device{Major: 7, Minor: 3}

func TestParams(t *testing.T) {
	for want, target := range map[string]dm.Target{
		"linear 7:3 32768":               dm.Linear{Device: below, Offset: 32768},
		"error ":                         dm.Error{},
		"zero ":                          dm.Zero{},
		"delay 7:3 8 250":                dm.Delay{Device: below, Offset: 8, Milliseconds: 250},
		"dust 7:3 0 4096":                dm.Dust{Device: below, BlockSize: 4096},
		"flakey 7:3 8 0 1":               dm.Flakey{Device: below, Offset: 8, Down: 1},
		"flakey 7:3 8 5 1 1 drop_writes": dm.Flakey{Device: below, Offset: 8, Up: 5, Down: 1, Mode: dm.FlakeyDropWrites},
		"integrity 7:3 32768 32 D 0":     dm.Integrity{Device: below, Offset: 32768, TagSize: 32, Mode: 'D'},
		"integrity 7:3 0 32 J 1 meta_device:1:2": dm.Integrity{
			Device: below, TagSize: 32, Mode: 'J', MetaDevice: dm.Device{Major: 1, Minor: 2}},
		"integrity 7:3 32768 32 J 7 block_size:4096 journal_sectors:264 interleave_sectors:32768 buffer_sectors:128 journal_watermark:50 commit_time:10000 fix_padding": dm.Integrity{
			Device: below, Offset: 32768, TagSize: 32, Mode: 'J', BlockSize: 4096, FixPadding: true, JournalSectors: 264,
			InterleaveSectors: 32768, BufferSectors: 128, JournalWatermark: 50, CommitTime: 10000},
		"crypt aes-xts-plain64 :64:logon:cryptsetup:x-d0 0 7:3 32768 1 sector_size:4096": dm.Crypt{
			Cipher: dm.XTSPlain64, KeySize: 64, KeyDescription: "cryptsetup:x-d0", Device: below, Offset: 32768, SectorSize: 4096},
		"crypt capi:aegis128-random :16:logon:a:b 0 7:3 0 2 integrity:32:aead sector_size:4096": dm.Crypt{
			Cipher: dm.AEGIS128Random, KeySize: 16, KeyDescription: "a:b", Device: below, SectorSize: 4096, IntegrityTagSize: 32},
		"crypt aes-xts-plain64 :64:logon:a:b 9 7:3 0": dm.Crypt{
			Cipher: dm.XTSPlain64, KeySize: 64, KeyDescription: "a:b", IVOffset: 9, Device: below, SectorSize: 512},
		"crypt capi:authenc(hmac(sha256),xts(aes))-plain64 :96:logon:a:b 0 7:3 0 7 allow_discards same_cpu_crypt submit_from_crypt_cpus no_read_workqueue no_write_workqueue integrity:32:aead sector_size:4096": dm.Crypt{
			Cipher: dm.AuthencHMACSHA256XTSPlain64, KeySize: 96, KeyDescription: "a:b", Device: below, SectorSize: 4096,
			IntegrityTagSize: 32, AllowDiscards: true,
			Speed: dm.CryptSpeed{SameCPU: true, SubmitFromCrypt: true, NoReadWorkqueue: true, NoWriteWorkqueue: true}},
	} {
		require.Equal(t, want, target.Kind()+" "+target.Params())
	}
}
