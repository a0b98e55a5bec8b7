package storage

import (
	"context"
	"fmt"
)

// await returns what get does. A disk of the host, or a pipe, may let it wait for
// good: when ctx ends first await returns at once, with what it waited for in the
// error. get goes on then, and what it gets at last is given back.
func await[T any](ctx context.Context, what string, get func() (T, error), giveBack func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := get()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	go func() {
		if r := <-done; r.err == nil {
			giveBack(r.value)
		}
	}()
	var none T
	return none, fmt.Errorf("%s: %w", what, context.Cause(ctx))
}

// silentDevice is what a read of a device that did not end waited for.
const silentDevice = "the device does not answer"

// keep is for what holds nothing that must be given back.
func keep[T any](T) {}
