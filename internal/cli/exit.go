package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/trusted-store/trusted-store/storage"
)

// Exit statuses, the same for every verb.
const (
	ExitDone = iota
	ExitFailed
	ExitUsage
	ExitRejected
	ExitWrongKey
	ExitIntegrity
	ExitBusy
	ExitUnsuitable
	ExitNotSupported
	ExitInterrupted = 130 // 128 and SIGINT, as shells count
)

// statuses is the one place that maps errors to exit statuses; the first match
// wins.
var statuses = []struct {
	err    error
	status int
}{
	{errUsage, ExitUsage},
	{context.Canceled, ExitInterrupted},
	{storage.ErrInvalid, ExitUsage},
	{storage.ErrPermission, ExitUsage},
	{storage.ErrWrongKey, ExitWrongKey},
	{storage.ErrIntegrity, ExitIntegrity},
	{storage.ErrBusy, ExitBusy},
	{storage.ErrNotBlank, ExitUnsuitable},
	{storage.ErrUnsuitable, ExitUnsuitable}, // before what is rejected: a device that shrank is both
	{storage.ErrHeaderRejected, ExitRejected},
	{storage.ErrNotSupported, ExitNotSupported},
}

// ExitsWith gives a status to an error of a package that not every command has.
// It is called before a command runs.
func ExitsWith(err error, status int) {
	statuses = append(statuses, struct {
		err    error
		status int
	}{err, status})
}

// ExitStatus is the exit status that a command ends with after err.
func ExitStatus(err error) int {
	if err == nil {
		return ExitDone
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return ExitFailed
}

var errUsage = errors.New("usage")

// usageError is a command line that cannot be carried out.
type usageError struct {
	err  error
	hint string
}

func (u *usageError) Error() string   { return u.err.Error() }
func (u *usageError) Unwrap() []error { return []error{errUsage, u.err} }

// UsageError makes err, unless it is nil, a command line that cannot be carried out.
func UsageError(err error, c *cobra.Command) error {
	if err == nil {
		return nil
	}
	return &usageError{err, "see " + c.CommandPath() + " --help"}
}

// UsageErrorf is UsageError with a text.
func UsageErrorf(c *cobra.Command, format string, args ...any) error {
	return UsageError(fmt.Errorf(format, args...), c)
}

// Needs returns an argument check that says what is missing.
func Needs(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return UsageErrorf(c, "%s is missing", what)
		case len(args) > 1:
			return UsageErrorf(c, "one %s is expected, not %d arguments", what, len(args))
		}
		return nil
	}
}

// None is an argument check for a command that takes flags only.
func None(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return UsageErrorf(c, "unexpected argument %q", args[0])
	}
	return nil
}

// AtMostOne returns an argument check for one that may be left out.
func AtMostOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return Needs(what)(c, args)
	}
}

// Report prints err, with a hint where there is one, and returns the exit
// status.
func Report(w io.Writer, program, verb string, err error) int {
	if err == nil {
		return ExitDone
	}
	if quiet := new(SilentError); !errors.As(err, &quiet) {
		prefix := program + ": "
		if verb != "" {
			prefix += verb + ": "
		}
		text := prefix + textOf(err) + "\n"
		if hint := hintOf(err); hint != "" {
			text += "hint: " + hint + "\n"
		}
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			text = Fold(text) // elsewhere each is one line
		}
		_, _ = io.WriteString(w, text) // where errors cannot be shown, this one cannot be either
	}
	return ExitStatus(err)
}

// textOf is the message of an error. After Ctrl-C the step matters, not which
// call of it noticed.
func textOf(err error) string {
	e, ok := any(err).(*storage.Error) // not one inside another, such as of a failed clean-up
	if ok && errors.Is(err, context.Canceled) {
		return strings.TrimSuffix(e.What+": "+e.Step, ": ") + ": interrupted"
	}
	return err.Error()
}

// SilentError is a failure that the output tells already.
type SilentError struct{ Err error }

func (s *SilentError) Error() string { return s.Err.Error() }
func (s *SilentError) Unwrap() error { return s.Err }

func hintOf(err error) string {
	var u *usageError
	var e *storage.Error
	switch {
	case errors.As(err, &u):
		return u.hint
	case errors.As(err, &e) && e.Hint != "":
		return InCommand(e.Hint)
	case errors.Is(err, storage.ErrPermission):
		return "run it as root"
	}
	return ""
}
