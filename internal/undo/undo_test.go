package undo_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/undo"
)

func TestUnwindRunsAllInReverseAndJoins(t *testing.T) {
	var stack undo.Stack
	var order []string
	broken := errors.New("broken")
	for _, name := range []string{"a", "b", "c"} {
		stack.Push(name, func(context.Context) error {
			order = append(order, name)
			if name == "b" {
				return broken
			}
			return nil
		})
	}
	err := stack.Unwind(t.Context())
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "b: broken")
	require.Equal(t, []string{"c", "b", "a"}, order)
	require.NoError(t, stack.Unwind(t.Context()), "second time: nothing to do")
	require.Len(t, order, 3)
}

func TestUnwindAfterCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stack undo.Stack
	stack.Push("x", func(ctx context.Context) error { return ctx.Err() })
	require.NoError(t, stack.Unwind(ctx))
}

func TestMove(t *testing.T) {
	var stack undo.Stack
	ran := 0
	stack.Push("x", func(context.Context) error { ran++; return nil })
	moved := stack.Move()
	require.NoError(t, stack.Unwind(t.Context()))
	require.Zero(t, ran)
	require.NoError(t, moved.Unwind(t.Context()))
	require.Equal(t, 1, ran)
}
