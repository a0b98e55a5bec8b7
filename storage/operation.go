package storage

import (
	"context"
	"log/slog"
	"time"

	"github.com/trusted-store/trusted-store/internal/undo"
)

// step is one stage of Create or Open. What it acquires it pushes on the
// operation's undo stack, so that a failure of a later one gives it back.
type step struct {
	name string
	do   func(context.Context) error
}

// operation runs the steps of one Create or Open.
type operation struct {
	op, device string
	log        *slog.Logger
	progress   func(Progress)
	failAfter  func(step string) error // tests only
	undo       undo.Stack
}

// run runs the steps in order. When one fails, or ctx ends between two, all that
// was acquired is given back, the last first, before it returns.
func (o *operation) run(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := o.runStep(ctx, s); err != nil {
			err = failure(o.op, o.device, s.name, err)
			if undoErr := o.undo.Unwind(ctx); undoErr != nil {
				o.log.Error("clean-up failed", "after", s.name, "err", undoErr)
				return &cleanupError{err, undoErr}
			}
			return err
		}
	}
	return nil
}

func (o *operation) runStep(ctx context.Context, s step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.progress(Progress{Step: s.name})
	began := time.Now()
	if err := s.do(ctx); err != nil {
		return err
	}
	o.log.Debug(s.name, "took", time.Since(began).Round(time.Microsecond))
	if o.failAfter != nil {
		return o.failAfter(s.name)
	}
	return nil
}

// cleanupError is a failure whose clean-up failed as well.
type cleanupError struct{ err, undo error }

func (c *cleanupError) Error() string {
	return c.err.Error() + "; and the clean-up failed: " + c.undo.Error()
}
func (c *cleanupError) Unwrap() []error { return []error{c.err, c.undo} }
