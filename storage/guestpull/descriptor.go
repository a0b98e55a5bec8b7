package guestpull

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxMembers bounds a JSON object, and maxManifests a list.
	maxMembers   = 100
	maxManifests = 1000
	// maxPart bounds, in bytes, the parts of a descriptor that hold more than one
	// thing, and maxURLs how many other addresses it has.
	maxPart = 4096
	maxURLs = 4
)

// membersOf takes an object apart. None may be there twice, and those of a known
// name in no other case: readers of JSON differ in which one they take.
func membersOf(text []byte, known []string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	members := map[string]json.RawMessage{}
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, noJSON(err)
	}
	for d.More() {
		var raw json.RawMessage
		name, err := d.Token()
		if err == nil {
			err = d.Decode(&raw)
		}
		if err != nil {
			return nil, noJSON(err)
		}
		key := name.(string) // as every name of a member is
		meant := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, key) })
		_, twice := members[key]
		switch {
		case twice || meant >= 0 && known[meant] != key:
			return nil, refuse(ErrRejected, "", "its manifest has the member %s twice, or in a spelling that not everybody reads", quote(key))
		case len(members) == maxMembers:
			return nil, refuse(ErrRejected, "", "its manifest has more than %d members", maxMembers)
		}
		members[key] = raw
	}
	_, err := d.Token()
	if _, end := d.Token(); err != nil || !errors.Is(end, io.EOF) {
		return nil, noJSON(errors.Join(err, end))
	}
	return members, nil
}

// noJSON says where, and nothing of what is there.
func noJSON(err error) error {
	return refuse(ErrRejected, "", "its manifest is no JSON, at byte %d", offsetOf(err))
}

func offsetOf(err error) int64 {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return syntax.Offset
	case errors.As(err, &kind):
		return kind.Offset
	}
	return 0
}

// descriptors reads no more than most of them: a few bytes each would take a hundred
// times the memory.
func descriptors(raw json.RawMessage, what string, most int) ([]ocispec.Descriptor, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	var all []ocispec.Descriptor
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return nil, refuse(ErrRejected, "", "the %s of its manifest are no list", what)
	}
	for d.More() {
		if len(all) == most {
			return nil, refuse(ErrRejected, "", "its manifest has more than %d %s, which is more than can be used", most, what)
		}
		var one json.RawMessage
		if err := d.Decode(&one); err != nil {
			return nil, noJSON(err)
		}
		parsed, err := parseDescriptor(one)
		if err != nil {
			return nil, err
		}
		all = append(all, parsed)
	}
	return all, nil
}

// parseDescriptor reads the part of an OCI descriptor that is used. The digest is
// not checked yet.
func parseDescriptor(raw json.RawMessage) (d ocispec.Descriptor, err error) {
	var given struct {
		MediaType string          `json:"mediaType"`
		Digest    digest.Digest   `json:"digest"`
		Size      int64           `json:"size"`
		Data      []byte          `json:"data"`
		URLs      json.RawMessage `json:"urls"`
		Platform  json.RawMessage `json:"platform"`
		Notes     json.RawMessage `json:"annotations"`
	}
	if json.Unmarshal(raw, &given) != nil {
		return d, refuse(ErrRejected, "", "a descriptor in its manifest is not as OCI describes it")
	}
	d = ocispec.Descriptor{MediaType: given.MediaType, Digest: given.Digest, Size: given.Size, Data: given.Data}
	if err := errors.Join(parsePart(given.Platform, &d.Platform), parseNotes(given.Notes, &d)); err != nil {
		return d, err
	}
	err = parsePart(given.URLs, &d.URLs)
	d.URLs = d.URLs[:min(len(d.URLs), maxURLs)]
	return d, err
}

func parsePart(raw json.RawMessage, to any) error {
	if len(raw) == 0 {
		return nil
	}
	if len(raw) > maxPart || json.Unmarshal(raw, to) != nil {
		return refuse(ErrRejected, "", "a descriptor in its manifest is not as OCI describes it, or holds %d bytes where %d are the most", len(raw), maxPart)
	}
	return nil
}

// embedded is content that a descriptor brings along, nil when that is not what it
// describes.
func embedded(d ocispec.Descriptor) []byte {
	if d.Size > 0 && int64(len(d.Data)) == d.Size && d.Digest.Validate() == nil && d.Digest.Algorithm().FromBytes(d.Data) == d.Digest {
		return d.Data
	}
	return nil
}
