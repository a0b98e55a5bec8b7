package main

import (
	"errors"
	"fmt"
	"math"
)

// comparison counts facts, and collects those that are not as they should be.
type comparison struct {
	compared int
	wrong    []error
}

// same compares what a tool says of something with what it should say.
func (c *comparison) same(what, got, want string) {
	c.compared++
	if got != want {
		c.wrong = append(c.wrong, fmt.Errorf("%s is %q, and should be %q", what, got, want))
	}
}

// between compares a number with the least and the most that it should be.
func (c *comparison) between(what string, got, least, most int64) {
	c.compared++
	if got < least || got > most {
		c.wrong = append(c.wrong, fmt.Errorf("%s is %d, and should be %s", what, got, span(least, most)))
	}
}

func span(least, most int64) string {
	switch {
	case least == most:
		return fmt.Sprint(least)
	case least == math.MinInt64:
		return fmt.Sprintf("at most %d", most)
	case most == math.MaxInt64:
		return fmt.Sprintf("at least %d", least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// err is all that is wrong.
func (c *comparison) err() error { return errors.Join(c.wrong...) }
