package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A program that was built for a newer C library than the host's runs with that
// library beside it. Which dynamic linker starts it is written in the program.

// linker is the dynamic linker of a 64-bit x86 program.
const linker = "ld-linux-x86-64.so.2"

// libraryPaths are where libraries lie below an unpacked root.
func libraryPaths(root string) []string {
	return []string{filepath.Join(root, "usr/lib/x86_64-linux-gnu"), filepath.Join(root, "lib/x86_64-linux-gnu")}
}

// findLinker is the dynamic linker below an unpacked root.
func findLinker(root string) (string, error) {
	for _, d := range libraryPaths(root) {
		path := filepath.Join(d, linker)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("no %s below %s", linker, root)
}

// setInterpreter has the kernel start the program at path by another dynamic
// linker. The name is appended to the file, which the kernel reads it from; the
// old one stays where the program has it in memory.
func setInterpreter(path, interpreter string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	at, err := interpreterHeader(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	name := append([]byte(interpreter), 0)
	header := text[at:]
	binary.LittleEndian.PutUint64(header[8:], uint64(len(text))) // p_offset
	binary.LittleEndian.PutUint64(header[32:], uint64(len(name)))
	binary.LittleEndian.PutUint64(header[40:], uint64(len(name)))
	return os.WriteFile(path, append(text, name...), 0o755)
}

// interpreterHeader is the place of the program header that names the dynamic
// linker.
func interpreterHeader(program []byte) (int, error) {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return 0, err
	}
	if f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB {
		return 0, fmt.Errorf("a program of %v, %v: expected 64 bits, little endian", f.Class, f.Data)
	}
	const size = 56
	start := int(binary.LittleEndian.Uint64(program[32:])) // e_phoff
	for i, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return start + i*size, nil
		}
	}
	return 0, errors.New("a program without a dynamic linker")
}
