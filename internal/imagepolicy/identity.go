package imagepolicy

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// identity says which name a signature must have. Each gets the name that was asked
// for, and the one that was signed.
type identity func(asked, signed reference.Named) bool

// parseIdentity reads signedIdentity. Without it a signature of cosign may have no
// tag, which is how cosign makes them.
func parseIdentity(raw json.RawMessage, kind string) (identity, error) {
	if raw == nil {
		if kind == sigstoreSigned {
			return asCosignSigns, nil
		}
		return repoDigestOrExact, nil
	}
	m, err := object(raw)
	if err != nil {
		return nil, err
	}
	name, err := m.text("type")
	if err != nil {
		return nil, err
	}
	var match identity
	switch name {
	case "matchExact":
		match = exact
	case "matchRepoDigestOrExact":
		match = repoDigestOrExact
	case "matchRepository":
		match = sameRepository
	case "exactReference":
		match, err = fixed(m, "dockerReference", exact)
	case "exactRepository":
		match, err = fixed(m, "dockerRepository", sameRepository)
	case "remapIdentity":
		match, err = remapped(m)
	default:
		err = fmt.Errorf("type %q is not known here", name)
	}
	if err != nil {
		return nil, err
	}
	return match, m.end()
}

func exact(asked, signed reference.Named) bool {
	return !reference.IsNameOnly(asked) && !reference.IsNameOnly(signed) && asked.String() == signed.String()
}

func sameRepository(asked, signed reference.Named) bool { return asked.Name() == signed.Name() }

// repoDigestOrExact leaves the tag open where a digest was asked for: that it was
// signed is checked for every signature.
func repoDigestOrExact(asked, signed reference.Named) bool {
	if _, pinned := asked.(reference.Canonical); pinned {
		return !reference.IsNameOnly(signed) && sameRepository(asked, signed)
	}
	return exact(asked, signed)
}

func asCosignSigns(asked, signed reference.Named) bool {
	return reference.IsNameOnly(signed) && sameRepository(asked, signed) || repoDigestOrExact(asked, signed)
}

// fixed compares with a name of the policy, not with the one that was asked for.
func fixed(m members, member string, match identity) (identity, error) {
	text, err := m.text(member)
	if err != nil {
		return nil, err
	}
	name, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", member, text, err)
	}
	return func(_, signed reference.Named) bool { return match(name, signed) }, nil
}

// remapped compares with the name that was asked for, below another prefix.
func remapped(m members) (identity, error) {
	prefix, err := m.text("prefix")
	if err != nil {
		return nil, err
	}
	signedPrefix, err := m.text("signedPrefix")
	if err != nil {
		return nil, err
	}
	if prefix == "" || signedPrefix == "" {
		return nil, fmt.Errorf("prefix and signedPrefix are expected")
	}
	return func(asked, signed reference.Named) bool {
		if rest, inside := strings.CutPrefix(asked.Name(), prefix); inside && (rest == "" || rest[0] == '/') {
			other, err := reference.ParseNamed(strings.Replace(asked.String(), prefix, signedPrefix, 1))
			if err != nil {
				return false
			}
			asked = other
		}
		return repoDigestOrExact(asked, signed)
	}, nil
}
