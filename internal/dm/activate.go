package dm

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/trusted-store/trusted-store/internal/undo"
)

// Activation is a mapping that is made live, or not at all.
type Activation struct {
	Name, UUID string
	// Below is the open device below, which nobody else may be using.
	Below *os.File
	// Table is what the live table must be.
	Table Table
	// Load loads that table, after what has to be done first.
	Load func(*Control) error
	// Verify looks at what the kernel made of it; nil: the table is enough.
	Verify func(*Control) error
}

// removal bounds how long the clean-up after a failure waits for, say, a probe.
const removal = 10 * time.Second

// Activate makes the mapping live and compares its table with the one that was
// meant; a difference wraps [ErrTableDiffers]. On any failure no mapping is left.
func Activate(ctx context.Context, a Activation) error {
	return with(func(c *Control) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return a.bringUp(ctx, c)
	})
}

// Deactivate is [Control.Remove] for a caller that has no Control.
func Deactivate(ctx context.Context, name string) error {
	return with(func(c *Control) error { return c.Remove(ctx, name) })
}

func with(use func(*Control) error) error {
	c, err := Open()
	if err != nil {
		return err
	}
	return errors.Join(use(c), c.Close())
}

func (a Activation) bringUp(ctx context.Context, c *Control) (err error) {
	var stack undo.Stack
	defer func() { err = errors.Join(err, stack.Unwind(ctx)) }()
	if _, err := c.Create(a.Name, a.UUID); err != nil {
		return err
	}
	stack.Push("remove mapping "+a.Name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, removal)
		defer cancel()
		return c.Remove(ctx, a.Name)
	})
	if err := Unused(a.Below); err != nil {
		return err
	}
	if err := a.Load(c); err != nil {
		return err
	}
	if err := c.Resume(a.Name); err != nil {
		return err
	}
	if err := a.verify(c); err != nil {
		return err
	}
	stack.Move()
	return nil
}

func (a Activation) verify(c *Control) error {
	live, err := c.Table(a.Name)
	if err != nil {
		return err
	}
	if err := a.Table.Matches(live); err != nil || a.Verify == nil {
		return err
	}
	return a.Verify(c)
}
