package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// xstateSource is what older kernels lack on processors with AMX.
//
//go:embed xstate/ptrace.c
var xstateSource []byte

const (
	compiler      = "tcc"       // Debian's package of a C compiler without anything around it
	xstateLibrary = "ptrace.so" // xstateSource, compiled, beside the kernel
)

// needsXstate tells whether the kernel needs xstateSource on some processors: the
// newest one does not.
func (k kernelID) needsXstate() bool { return k.series != newest }

// finishUML has the kernel in root use the C library beside it. The linker's path is
// relative to the directory in which the kernel is started, so that a cache can be
// moved.
func (k kernelID) finishUML(root string) error {
	f, err := findUML(root)
	if err != nil {
		return err
	}
	ld, err := findLinker(root)
	if err != nil {
		return err
	}
	if k.needsXstate() {
		if err := compileXstate(root, ld); err != nil {
			return err
		}
	}
	return setInterpreter(f.binary, strings.TrimPrefix(ld, root+"/"))
}

// compileXstate builds the library with the compiler in root.
func compileXstate(root, ld string) error {
	source := filepath.Join(root, "ptrace.c")
	if err := os.WriteFile(source, xstateSource, 0o644); err != nil {
		return err
	}
	_, err := output(context.Background(), root, ld, "--library-path", strings.Join(libraryPaths(root), ":"),
		filepath.Join(root, "usr/bin/tcc"), "-B"+filepath.Join(root, "usr/lib/x86_64-linux-gnu/tcc"),
		"-shared", "-nostdlib", "-o", xstateLibrary, source)
	if err != nil {
		return fmt.Errorf("compile %s: %w", source, err)
	}
	return nil
}
