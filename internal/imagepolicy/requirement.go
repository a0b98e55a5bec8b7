package imagepolicy

import (
	"encoding/json"
	"errors"
	"fmt"
)

// The types of requirements.
const (
	acceptAnything = "insecureAcceptAnything"
	reject         = "reject"
	signedBy       = "signedBy"
	sigstoreSigned = "sigstoreSigned"
)

// requirement is one rule.
type requirement struct {
	kind     string
	sources  []string // of keys: paths and URIs
	keys     [][]byte // those that are given, and those of sources once they were read
	identity identity
}

func requirements(raw json.RawMessage) ([]*requirement, error) {
	var list []json.RawMessage
	if raw == nil || json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, errors.New("a list of at least one requirement is expected")
	}
	var all []*requirement
	for i, raw := range list {
		r, err := parseRequirement(raw)
		if err != nil {
			return nil, fmt.Errorf("requirement %d: %w", i+1, err)
		}
		all = append(all, r)
	}
	return all, nil
}

func parseRequirement(raw json.RawMessage) (*requirement, error) {
	m, err := object(raw)
	if err != nil {
		return nil, err
	}
	r := &requirement{}
	if r.kind, err = m.text("type"); err != nil {
		return nil, err
	}
	switch r.kind {
	case acceptAnything, reject:
		return r, m.end()
	case signedBy:
		kind, err := m.text("keyType")
		if err != nil || kind != "GPGKeys" {
			return nil, errors.New(`keyType: "GPGKeys" is expected`)
		}
	case sigstoreSigned:
	default:
		return nil, fmt.Errorf("type %q: expected %s, %s, %s or %s", r.kind, acceptAnything, reject, signedBy, sigstoreSigned)
	}
	if err := r.parseKeys(m); err != nil {
		return nil, err
	}
	if r.identity, err = parseIdentity(m.take("signedIdentity"), r.kind); err != nil {
		return nil, fmt.Errorf("signedIdentity: %w", err)
	}
	return r, m.end()
}

// parseKeys takes exactly one of the ways to say where keys are.
func (r *requirement) parseKeys(m members) error {
	path, err := m.text("keyPath")
	if err != nil {
		return err
	}
	ways := 0
	if path != "" {
		r.sources, ways = []string{path}, ways+1
	}
	for name, into := range map[string]any{"keyPaths": &r.sources, "keyDatas": &r.keys} {
		if raw := m.take(name); raw != nil {
			if ways++; json.Unmarshal(raw, into) != nil {
				return fmt.Errorf("%s: a list of texts is expected", name)
			}
		}
	}
	if raw := m.take("keyData"); raw != nil {
		ways, r.keys = ways+1, make([][]byte, 1)
		if json.Unmarshal(raw, &r.keys[0]) != nil {
			return errors.New("keyData: base64 is expected")
		}
	}
	if ways != 1 || len(r.sources)+len(r.keys) == 0 {
		return errors.New("exactly one of keyPath, keyPaths, keyData and keyDatas is expected: other roots of trust need a network")
	}
	return nil
}

// Rejects reports whether no signature can help.
func (r *Rules) Rejects() bool { return r.needs(reject) }

// NeedsSimple and NeedsSigstore report whether such signatures count.
func (r *Rules) NeedsSimple() bool   { return r.needs(signedBy) }
func (r *Rules) NeedsSigstore() bool { return r.needs(sigstoreSigned) }

func (r *Rules) needs(kind string) bool {
	for _, one := range r.requirements {
		if one.kind == kind {
			return true
		}
	}
	return false
}

// LoadKeys reads the keys that are named.
func (r *Rules) LoadKeys(read func(source string) ([]byte, error)) error {
	for _, one := range r.requirements {
		for _, source := range one.sources {
			key, err := read(source)
			if err != nil {
				return err
			}
			one.keys = append(one.keys, key)
		}
	}
	return nil
}
