package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// setupLimit bounds the download of a kernel, some 30 MB.
const setupLimit = 10 * time.Minute

// errNotInstalled names what a bed lacks and how to get it.
func errNotInstalled(bed string, packages []string) error {
	return fmt.Errorf("the %s bed cannot start: missing %s\n%s", bed, strings.Join(packages, " "), installHint(packages))
}

// installHint says how to get packages. The kernel's needs no installation.
func installHint(packages []string) string {
	var install []string
	for _, p := range packages {
		if p != kernelPackage {
			install = append(install, p)
		}
	}
	hint := "hint: make setup"
	if len(install) > 0 {
		hint += "; or as root: apt-get install --no-install-recommends " + strings.Join(install, " ")
	}
	if len(install) < len(packages) {
		hint += "; for the kernel, as any user: go tool guest setup"
	}
	return hint
}

// setup puts the qemu bed's kernel into the cache, without any privilege, and
// names the packages that only root can install.
func setup(o *options, w io.Writer) error {
	q := &qemu{cache: o.cache, kernel: o.kernel}
	if _, err := q.installed(); err != nil && o.kernel == "" {
		if err := fetchKernel(filepath.Join(o.cache, "kernel"), w); err != nil {
			return err
		}
	}
	var missing []string
	for _, name := range []string{"uml", "qemu"} {
		missing = append(missing, newBed(&options{bed: name, cache: o.cache, kernel: o.kernel}).missing()...)
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing %s\n%s", strings.Join(missing, " "), installHint(missing))
	}
	fmt.Fprintln(w, "guest: both beds are ready")
	return nil
}

// fetchKernel downloads the kernel's package and unpacks it to dir, which
// appears only when it is complete.
func fetchKernel(dir string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), setupLimit)
	defer cancel()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "kernel-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	name, err := kernelName(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "guest: downloading", name)
	if _, err := output(ctx, tmp, "apt-get", "download", name); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download %s left %d packages, expected one: %w", name, len(debs), err)
	}
	if _, err := output(ctx, tmp, "dpkg-deb", "-x", debs[0], "root"); err != nil {
		return err
	}
	err = os.Rename(filepath.Join(tmp, "root"), dir)
	if _, there := findKernel(dir); there == nil {
		return nil // by us, or by another process in the same moment
	}
	return err
}

// kernelName is the package that kernelPackage stands for at present.
func kernelName(ctx context.Context) (string, error) {
	text, err := output(ctx, "", "apt-cache", "depends", "--important", kernelPackage)
	if err != nil {
		return "", err
	}
	return firstImage(text)
}

// firstImage finds the kernel in what apt-cache prints.
func firstImage(depends string) (string, error) {
	for word := range strings.FieldsSeq(depends) {
		if strings.HasPrefix(word, "linux-image-") && word != kernelPackage {
			return word, nil
		}
	}
	return "", fmt.Errorf("the package lists name no kernel for %s: update them, as root: apt-get update", kernelPackage)
}

// output runs a program and returns what it printed. An error holds what it
// complained about.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	text, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(text), err
}
