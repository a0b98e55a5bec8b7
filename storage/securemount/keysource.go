package securemount

import (
	"errors"
	"strings"

	"github.com/trusted-store/trusted-store/internal/keyservice"
)

// KeySource says where the key of a request comes from; the key itself is never a
// part of it. The zero value is a random key.
type KeySource struct {
	kind keyKind
	from string // path, resource or sealed secret
}

type keyKind uint8

const (
	keyRandom keyKind = iota
	keyFile
	keyResource
	keySealed
)

// ParseKeySource understands "file://PATH", "kbs://…", "kbs+PLUGIN://…" and
// "sealed.…". An error does not repeat the text: somebody may have sent the key
// itself.
func ParseKeySource(text string) (KeySource, error) {
	path, isFile := strings.CutPrefix(text, "file://")
	switch {
	case isFile && canonical(path) && path != "/":
		return KeySource{keyFile, path}, nil
	case isFile:
		return KeySource{}, errors.New("a key's file is named as file:// and an absolute path without .. and //")
	case keyservice.IsResource(text) && printable(text):
		return KeySource{keyResource, text}, nil
	case strings.HasPrefix(text, "sealed.") && printable(text):
		return KeySource{keySealed, text}, nil
	}
	return KeySource{}, errors.New("expected file://PATH, kbs://…, kbs+PLUGIN://… or sealed.…; without one the key is random")
}

// printable reports whether the text consists of visible ASCII only.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Given reports whether the key comes from outside; if not it is random, and the
// store ephemeral.
func (k KeySource) Given() bool { return k.kind != keyRandom }

// String is for logs and errors.
func (k KeySource) String() string {
	switch k.kind {
	case keyFile:
		return "file://" + k.from
	case keyResource:
		return k.from
	case keySealed:
		return "a sealed secret"
	}
	return "random"
}
