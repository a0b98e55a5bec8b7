package handover

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// object says what each member of a JSON object is for. encoding/json alone would
// accept repeated members, other spellings of their names, and null.
type object map[string]member

// member takes over the value of a member.
type member func(raw []byte) error

// parse reads exactly one object of exactly these members, all of which may be
// missing.
func parse(text []byte, o object) error {
	return eachMember(text, func(name string, raw []byte) error {
		set, known := o[name]
		if !known {
			return errors.New("it is not known")
		}
		return set(raw)
	})
}

// eachMember calls f for every member of an object, none of which may be repeated
// or null.
func eachMember(text []byte, f func(name string, raw []byte) error) error {
	if err := plausible(text); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		var raw json.RawMessage
		if err == nil {
			err = d.Decode(&raw)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		key := name.(string) // all that the decoder returns there
		switch {
		case seen[key]:
			err = errors.New("it is repeated")
		case string(raw) == "null":
			err = errors.New("it is null")
		default:
			err = f(key, raw)
		}
		if err != nil {
			return inMember(key, err)
		}
		seen[key] = true
	}
	return ended(d)
}

func plausible(text []byte) error {
	switch {
	case len(text) > MaxBytes:
		return tooLong(len(text))
	case !utf8.Valid(text):
		return fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	return nil
}

// ended expects the end of the object, and nothing behind it.
func ended(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: text behind the JSON object", ErrMalformed)
	}
	return nil
}

// shownName is how much of a name that the host chose goes into an error.
const shownName = 64

func inMember(name string, err error) error {
	if len(name) > shownName {
		name = name[:shownName] + "…"
	}
	if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLong) {
		err = fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return fmt.Errorf("member %q: %w", name, err)
}

func stringTo(to *string) member {
	return func(raw []byte) error {
		if raw[0] != '"' {
			return errors.New("not a string")
		}
		return json.Unmarshal(raw, to)
	}
}

func stringsTo(to *[]string) member {
	return func(raw []byte) error {
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return errors.New("not a list")
		}
		for i, item := range items {
			var s string
			if err := stringTo(&s)(item); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
			*to = append(*to, s)
		}
		return nil
	}
}

func stringMapTo(to *map[string]string) member {
	return func(raw []byte) error {
		all := map[string]string{}
		*to = all
		return eachMember(raw, func(name string, raw []byte) error {
			var s string
			err := stringTo(&s)(raw)
			all[name] = s
			return err
		})
	}
}

func numberTo(to *uint64) member {
	return func(raw []byte) (err error) {
		if *to, err = strconv.ParseUint(string(raw), 10, 64); err != nil {
			return errors.New("not a whole number of 64 bits")
		}
		return nil
	}
}
