package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Logger writes what the library has to say, in the form of a command's own
// messages.
func Logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(&logHandler{w: w, level: level})
}

// logHandler prints records for a person: "warning: text (name value, …)".
type logHandler struct {
	w     io.Writer
	level slog.Level
	attrs []slog.Attr
}

// Enabled is part of slog.Handler, as are the others.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// Handle prints one line.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	var values []string
	add := func(attr slog.Attr) bool {
		values = append(values, attr.Key+" "+attr.Value.Resolve().String())
		return true
	}
	for _, attr := range h.attrs {
		add(attr)
	}
	r.Attrs(add)
	line := levelText(r.Level) + r.Message
	if len(values) > 0 {
		line += " (" + strings.Join(values, ", ") + ")"
	}
	_, err := fmt.Fprintln(h.w, line)
	return err
}

func levelText(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "error: "
	case level >= slog.LevelWarn:
		return "warning: "
	case level >= slog.LevelInfo:
		return "note: "
	}
	return "done: "
}

// WithAttrs adds to every line.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.attrs = append(append([]slog.Attr(nil), h.attrs...), attrs...)
	return &more
}

// WithGroup is not needed here: the names of a group's values stay as they are.
func (h *logHandler) WithGroup(string) slog.Handler { return h }

// Level is what -v and -q say of the lines that are printed.
func Level(verbose, quiet bool) slog.Level {
	switch {
	case verbose:
		return slog.LevelDebug
	case quiet:
		return slog.LevelError
	}
	return slog.LevelWarn
}
