package imagepolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// members are those of a JSON object. What decides on trust is read strictly: no
// name is there twice, none is left over, and case counts.
type members map[string]json.RawMessage

func object(text []byte) (members, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	all := members{}
	for d.More() {
		name, err := d.Token()
		var raw json.RawMessage
		if err == nil {
			err = d.Decode(&raw)
		}
		if err != nil {
			return nil, fmt.Errorf("it is no JSON: %w", err)
		}
		key := name.(string) // as every name of a member is
		if _, twice := all[key]; twice {
			return nil, fmt.Errorf("it has %q twice", key)
		}
		all[key] = raw
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows its JSON object")
	}
	return all, nil
}

// take returns a member, nil when there is none.
func (m members) take(name string) json.RawMessage {
	raw := m[name]
	delete(m, name)
	return raw
}

// text takes a text; "" when there is none.
func (m members) text(name string) (text string, err error) {
	raw := m.take(name)
	if raw == nil {
		return "", nil
	}
	if json.Unmarshal(raw, &text) != nil || text == "" {
		return "", fmt.Errorf("%s: a text is expected", name)
	}
	return text, nil
}

// end refuses what nobody took.
func (m members) end() error {
	for name := range m {
		return fmt.Errorf("it has %q, which is not known here", name)
	}
	return nil
}
