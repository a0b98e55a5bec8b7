package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
)

// initProgram is this program, built for the guest's architecture.
func initProgram(m *machine, arch string) (string, error) {
	if arch == hostArch {
		return m.self, nil
	}
	sum, err := fingerprintOf(m.self)
	if err != nil {
		return "", err
	}
	path := filepath.Join(m.opts.cache, "init-"+arch+"-"+sum)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	old, err := filepath.Glob(filepath.Join(m.opts.cache, "init-"+arch+"-*"))
	if err != nil {
		return "", err
	}
	for _, o := range old {
		os.Remove(o)
	}
	return path, buildSelf(path, m.dir, arch)
}

// fingerprintOf changes when the file at path does.
func fingerprintOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)[:12]), err
}

// buildSelf builds this program's package, which is in the caller's module, for
// another architecture.
func buildSelf(path, tmp, arch string) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program does not know its package")
	}
	made := filepath.Join(tmp, "init")
	cmd := exec.Command("go", "build", "-o", made, info.Path)
	cmd.Env = append(slices.Clone(os.Environ()), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the guest's init for %s, in the caller's Go module: %w\n%s", arch, err, text)
	}
	return writeWhole(path, func(w io.Writer) error {
		f, err := os.Open(made)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	})
}
