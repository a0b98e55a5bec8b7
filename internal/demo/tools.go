package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// tools are the programs that the demo runs, with the Debian packages that have
// them.
var tools = [][2]string{
	{"trusted-store", "none: make build"},
	{"lsblk", "util-linux"},
	{"mount", "mount"},
	{"cryptsetup", "cryptsetup-bin"},
	{"dmsetup", "dmsetup"},
	{"du", "coreutils"},
	{"df", "coreutils"},
	{"free", "procps"},
}

// lookForTools says what is missing before any work is done.
func lookForTools() error {
	var missing error
	for _, t := range tools {
		if _, err := exec.LookPath(t[0]); err != nil {
			missing = errors.Join(missing, fmt.Errorf("%w; its Debian package: %s", err, t[1]))
		}
	}
	return missing
}

// show runs a program as a person would.
func show(name string, args ...string) error {
	fmt.Println("$", name, strings.Join(args, " "))
	c := command(name, args...)
	c.Stdout = os.Stdout
	return run(c)
}

// shown is show for a program whose output is needed, too.
func shown(name string, args ...string) (string, error) {
	fmt.Println("$", name, strings.Join(args, " "))
	text, err := output(name, args...)
	fmt.Print(text)
	return text, err
}

// output runs a program in the form that is meant for programs.
func output(name string, args ...string) (string, error) {
	var text strings.Builder
	c := command(name, args...)
	c.Stdout = &text
	err := run(c)
	return text.String(), err
}

// command prepares a program that speaks English, whatever the caller speaks.
func command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	c.Stderr = os.Stderr
	return c
}

func run(c *exec.Cmd) error {
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(c.Args, " "), err)
	}
	return nil
}
