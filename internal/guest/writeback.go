package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// partSize is how much of a file one frame carries back to the host.
const partSize = 256 << 10

// sendChanges sends every regular file below the kept paths that the command
// made or wrote. They all lie in the upper layer. What was deleted stays on the
// host.
func sendChanges(l *link, upper *os.File, keep []string) error {
	top := fmt.Sprintf("/proc/self/fd/%d", upper.Fd())
	for _, root := range keep {
		err := filepath.WalkDir(top+root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			return sendFile(l, path, strings.TrimPrefix(path, top))
		})
		if err != nil {
			return fmt.Errorf("return files below %s to the host: %w", root, err)
		}
	}
	return nil
}

func sendFile(l *link, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	part := filePart{Path: name, Mode: uint32(info.Mode().Perm())}
	buf := make([]byte, partSize)
	for {
		n, err := io.ReadFull(f, buf)
		if n > 0 || part.Offset == 0 {
			part.Data = buf[:n]
			if err := l.sendValue(kindFile, part); err != nil {
				return err
			}
			part.Offset += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// storeChange writes one part of a file on the host, if it lies where changes
// were asked for.
func storeChange(payload []byte, keep []string) error {
	var p filePart
	if err := decode(payload, &p); err != nil {
		return err
	}
	if p.Path != filepath.Clean(p.Path) || !within(p.Path, keep) {
		return fmt.Errorf("the guest returned %q, which is not below what -out names", p.Path)
	}
	flags := os.O_WRONLY | os.O_CREATE
	if p.Offset == 0 {
		flags |= os.O_TRUNC
		if err := os.MkdirAll(filepath.Dir(p.Path), 0o755); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(p.Path, flags, fs.FileMode(p.Mode))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(p.Data, p.Offset)
	return errors.Join(err, f.Close())
}
