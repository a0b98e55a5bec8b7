package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryKernelHasAMachine(t *testing.T) {
	for k := range kernelSuites {
		require.Contains(t, machineTypes, k.arch)
		require.NotEmpty(t, flavours[k.arch])
		require.NoError(t, checkArch(k.bed, k.arch))
	}
	for arch := range machineTypes {
		require.Contains(t, kernelSuites, kernelID{"qemu", defaultKernels[arch], arch})
	}
}

func TestArgumentsOfAMachine(t *testing.T) {
	o, err := parseAll(t, nil, "-bed", "qemu", "-arch", "s390x", "-cpus", "2", "-mem", "512M", "true")
	require.NoError(t, err)
	require.Equal(t, "6.12", o.kernel)
	args := strings.Join(machineTypes[o.arch].arguments(o, "/image", "/root", []string{"word"}), " ")
	require.Contains(t, args, "-accel tcg,thread=multi -machine s390-ccw-virtio -cpu max -smp 2 -m 512M -kernel /image -initrd /root")
	require.True(t, strings.HasSuffix(args, "-append console=ttysclp0 word"), args)
	require.Equal(t, []string{
		"-drive", "if=none,id=raw0,format=raw,file=/a,,b,cache=writeback", "-device", "virtio-blk,drive=raw0,serial=raw0",
	}, attach("raw0", "/a,b", "cache=writeback"))
}

func TestKernelIsASeriesOrADirectory(t *testing.T) {
	dir := t.TempDir()
	for _, bed := range []string{"uml", "qemu"} {
		for _, kernel := range []string{"6.1", "6.12", newest} {
			o, err := parseAll(t, nil, "-bed", bed, "-kernel", kernel, "true")
			require.NoError(t, err)
			require.Equal(t, kernel, o.kernel)
		}
		o, err := parseAll(t, nil, "-bed", bed, "-kernel", dir, "true")
		require.NoError(t, err)
		require.Equal(t, dir, o.kernel)
	}
	t.Chdir(dir)
	require.NoError(t, os.Mkdir("unpacked", 0o755))
	o, err := parseAll(t, nil, "-bed", "qemu", "-kernel", "unpacked", "true")
	require.NoError(t, err)
	require.Equal(t, dir+"/unpacked", o.kernel)
}

func TestForeignProgramsAreRecognised(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/program", moduleImage(t, "")) // for x86-64
	writeFile(t, dir+"/script", []byte("#!/bin/sh\n"))
	require.False(t, foreign(dir+"/program", "amd64"))
	require.True(t, foreign(dir+"/program", "arm64"))
	require.False(t, foreign(dir+"/script", "arm64"))

	path, err := commandPath("sh", "s390x")
	require.NoError(t, err)
	require.Equal(t, "sh", path, "is looked up in the guest")
	path, err = commandPath("sh", hostArch)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(path, "/"), path)
}

func TestForeignTreeIsAtTheRoot(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/usr/sbin/cryptsetup", []byte("program"))
	require.NoError(t, os.Symlink("usr/sbin", dir+"/sbin"))
	tr := newTree()
	require.NoError(t, tr.showBelow(dir))
	require.Equal(t, dir+"/usr/sbin/cryptsetup", tr.entries["/usr/sbin/cryptsetup"].source)
	require.Equal(t, "usr/sbin", tr.entries["/sbin"].target)
	require.True(t, tr.entries["/usr"].mode.IsDir())
}

func TestDisksAreFoundBySerialNumber(t *testing.T) {
	class := t.TempDir()
	writeFile(t, class+"/vda/serial", []byte("tools\n"))
	writeFile(t, class+"/vdb/serial", []byte("raw0\n"))
	device, err := findDisk(class, "raw0", time.Second)
	require.NoError(t, err)
	require.Equal(t, "/dev/vdb", device)
	_, err = findDisk(class, "raw1", time.Millisecond)
	require.ErrorContains(t, err, "no device with the serial raw1 appeared in "+class)

	devices, err := findDisks([]string{"/dev/ubda", "/dev/ubdb"})
	require.NoError(t, err)
	require.Equal(t, []string{"/dev/ubda", "/dev/ubdb"}, devices)
}

func TestProgramsAreLookedUpInTheCommandsPath(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/program", nil)
	require.NoError(t, os.Chmod(dir+"/program", 0o755))
	t.Setenv("PATH", os.Getenv("PATH")) // lookPath changes it, which init may
	path, err := lookPath("program", []string{"A=b", "PATH=/none:" + dir})
	require.NoError(t, err)
	require.Equal(t, dir+"/program", path)
	_, err = lookPath("/none/program", nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}
