package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// turns runs one repetition of each side after the other, until every side has
// enough of them or has used its time, and emits what each gave: values by
// measure.
func (in *inside) turns(ctx context.Context, sides []side, size uint64, once func(side) (map[string]float64, error)) error {
	spent := make([]time.Duration, len(sides))
	over := make([]bool, len(sides))
	for repetition := range in.plan.repetitions {
		for j := range sides {
			i := (j + repetition) % len(sides) // nobody is always the first
			s := sides[i]
			if err := ctx.Err(); err != nil {
				return err
			}
			if repetition > 0 && (over[i] || spent[i]+spent[i]/time.Duration(repetition) > in.plan.budget) {
				over[i] = true
				continue
			}
			began := time.Now()
			values, err := once(s)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name(), err)
			}
			spent[i] += time.Since(began)
			if err := in.emitAll(s.name(), size, values); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *inside) emitAll(side string, size uint64, values map[string]float64) error {
	var errs []error
	for measure, value := range values {
		errs = append(errs, in.emit(measure, side, size, value))
	}
	return errors.Join(errs...)
}
