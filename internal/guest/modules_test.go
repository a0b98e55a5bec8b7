package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

// moduleImage is the smallest ELF file that says what it depends on.
func moduleImage(t *testing.T, depends string) []byte {
	t.Helper()
	info := "license=GPL\x00depends=" + depends + "\x00name=x\x00"
	names := "\x00.modinfo\x00.shstrtab\x00"
	const header, section = 64, 64
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1,
		Shoff: header, Ehsize: header, Shentsize: section, Shnum: 3, Shstrndx: 2,
	}
	data := uint64(header + 3*section)
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: data, Size: uint64(len(info)), Addralign: 1},
		{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: data + uint64(len(info)), Size: uint64(len(names)), Addralign: 1},
	}
	var b bytes.Buffer
	require.NoError(t, binary.Write(&b, binary.LittleEndian, h))
	require.NoError(t, binary.Write(&b, binary.LittleEndian, sections))
	b.WriteString(info + names)
	return b.Bytes()
}

func compressed(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, data, 0o644))
}

func TestModulesAreOrderedByDependency(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/kernel/drivers/md/dm-crypt.ko", moduleImage(t, "dm-mod,encrypted-keys"))
	writeFile(t, dir+"/kernel/drivers/md/dm-mod.ko.xz", compressed(t, moduleImage(t, "")))
	writeFile(t, dir+"/kernel/security/encrypted-keys.ko", moduleImage(t, "trusted"))
	writeFile(t, dir+"/kernel/security/README", nil)
	writeFile(t, dir+"/modules.builtin", []byte("kernel/security/trusted.ko\n"))
	m, err := openModules(dir)
	require.NoError(t, err)

	files, err := m.resolve([]module{{name: "dm_crypt"}, {name: "dm-dust", optional: true}, {name: "dm-mod"}})
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	require.Equal(t, []string{"dm-mod.ko.xz", "encrypted-keys.ko", "dm-crypt.ko"}, names)

	_, err = m.resolve([]module{{name: "dm-dust"}})
	require.ErrorContains(t, err, "kernel module dm-dust is not in "+dir)
}

func TestCompressedModuleIsUnpacked(t *testing.T) {
	want := moduleImage(t, "a")
	path := t.TempDir() + "/m.ko.xz"
	writeFile(t, path, compressed(t, want))
	got, err := readModule(path)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestModuleWithoutInformationIsRefused(t *testing.T) {
	path := t.TempDir() + "/m.ko"
	writeFile(t, path, []byte("no ELF"))
	_, err := dependencies(path)
	require.ErrorContains(t, err, path)
}
