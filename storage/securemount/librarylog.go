package securemount

import (
	"context"
	"io"
	"log/slog"

	containerd "github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

// libraryLog returns a context with which ttrpc logs to log. Its library would
// write lines of a form of its own to standard error.
func libraryLog(ctx context.Context, log *slog.Logger) context.Context {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.AddHook(toSlog{log})
	return containerd.WithLogger(ctx, logrus.NewEntry(l))
}

type toSlog struct{ log *slog.Logger }

// Levels is part of logrus.Hook, as is Fire.
func (toSlog) Levels() []logrus.Level { return logrus.AllLevels }

// Fire logs one entry. What the library calls an error is a client's doing, such
// as hanging up.
func (t toSlog) Fire(e *logrus.Entry) error {
	t.log.Warn(e.Message, "library", "ttrpc", "err", e.Data[logrus.ErrorKey])
	return nil
}
