// Package undo is the one stack on which every acquired thing is put together
// with the step that gives it back.
//
//	var stack undo.Stack
//	defer stack.Unwind(ctx)      // right on every path
//	…
//	stack.Push("remove mapping x", removeX)
//	…
//	return stack.Move(), nil     // success: the steps have a new owner
package undo

import (
	"context"
	"errors"
	"fmt"
)

// Stack is a stack of undo steps. The zero value is empty and ready. It is not
// safe for concurrent use.
type Stack struct{ steps []step }

type step struct {
	what string
	undo func(context.Context) error
}

// Push adds a step. what says in an error which step failed, as in "remove
// mapping x".
func (s *Stack) Push(what string, undo func(context.Context) error) {
	s.steps = append(s.steps, step{what, undo})
}

// Unwind runs every step, the last first, also when one fails, and empties the
// stack. The errors are joined. Steps see ctx's values but not its end: what was
// acquired is given back also after a cancellation.
func (s *Stack) Unwind(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for len(s.steps) > 0 {
		last := s.steps[len(s.steps)-1]
		s.steps = s.steps[:len(s.steps)-1]
		if err := last.undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", last.what, err))
		}
	}
	return errors.Join(errs...)
}

// Move returns a stack with all the steps and leaves s empty.
func (s *Stack) Move() *Stack {
	moved := &Stack{steps: s.steps}
	s.steps = nil
	return moved
}
