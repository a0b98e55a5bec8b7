package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/storage"
)

// Exit statuses, the same for every verb.
const (
	exitDone = iota
	exitFailed
	exitUsage
	exitRejected
	exitWrongKey
	exitIntegrity
	exitBusy
	exitUnsuitable
	exitNotSupported
	exitInterrupted = 130 // 128 and SIGINT, as shells count
)

// statuses is the one place that maps errors to exit statuses; the first match
// wins.
var statuses = []struct {
	err    error
	status int
}{
	{errUsage, exitUsage},
	{context.Canceled, exitInterrupted},
	{storage.ErrInvalid, exitUsage},
	{storage.ErrHeaderRejected, exitRejected},
	{storage.ErrWrongKey, exitWrongKey},
	{storage.ErrIntegrity, exitIntegrity},
	{storage.ErrBusy, exitBusy},
	{storage.ErrNotBlank, exitUnsuitable},
	{storage.ErrUnsuitable, exitUnsuitable},
	{storage.ErrNotSupported, exitNotSupported},
}

func statusOf(err error) int {
	if err == nil {
		return exitDone
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return exitFailed
}

var errUsage = errors.New("usage")

// usageError is a command line that cannot be carried out.
type usageError struct {
	err  error
	hint string
}

func (u *usageError) Error() string   { return u.err.Error() }
func (u *usageError) Unwrap() []error { return []error{errUsage, u.err} }

func usage(err error, c *cobra.Command) error {
	return &usageError{err, "see " + c.CommandPath() + " --help"}
}

func usageText(c *cobra.Command, format string, args ...any) error {
	return usage(fmt.Errorf(format, args...), c)
}

// needs returns an argument check that says what is missing.
func needs(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return usageText(c, "%s is missing", what)
		case len(args) > 1:
			return usageText(c, "one %s is expected, not %d arguments", what, len(args))
		}
		return nil
	}
}

// atMostOne returns an argument check for one that may be left out.
func atMostOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return needs(what)(c, args)
	}
}

// report prints err, with a hint where there is one, and returns the exit
// status.
func report(w io.Writer, verb string, err error) int {
	if err == nil {
		return exitDone
	}
	if quiet := new(silentError); !errors.As(err, &quiet) {
		prefix := "trusted-store: "
		if verb != "" {
			prefix += verb + ": "
		}
		fmt.Fprintf(w, "%s%s\n", prefix, textOf(err))
		if hint := hintOf(err); hint != "" {
			fmt.Fprintf(w, "hint: %s\n", hint)
		}
	}
	return statusOf(err)
}

// textOf is the message of an error. After Ctrl-C the step matters, not which
// call of it noticed.
func textOf(err error) string {
	e, ok := any(err).(*storage.Error) // not one inside another, such as of a failed clean-up
	if ok && errors.Is(err, context.Canceled) {
		return e.What + ": " + e.Step + ": interrupted"
	}
	return err.Error()
}

// silentError is a failure that the output tells already.
type silentError struct{ err error }

func (s *silentError) Error() string { return s.err.Error() }
func (s *silentError) Unwrap() error { return s.err }

func hintOf(err error) string {
	var u *usageError
	var e *storage.Error
	switch {
	case errors.As(err, &u):
		return u.hint
	case errors.As(err, &e) && e.Hint != "":
		return e.Hint
	case errors.Is(err, storage.ErrInvalid) && errors.Is(err, fs.ErrPermission):
		return "run it as root"
	}
	return ""
}
