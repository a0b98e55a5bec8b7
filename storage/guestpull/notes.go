package guestpull

import (
	"encoding/json"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxNotes bounds the annotations of a descriptor that are read, in bytes.
const maxNotes = 64 << 10

// noteOf is how the annotations of a descriptor begin that are used, "" when none are.
func noteOf(d *ocispec.Descriptor) string {
	switch {
	case isEncrypted(*d):
		return encryptionPrefix
	case d.MediaType == cosignPayload:
		return cosignAnnotation
	}
	return ""
}

// parseNotes reads the annotations of a descriptor that are used.
func parseNotes(raw json.RawMessage, d *ocispec.Descriptor) error {
	prefix := noteOf(d)
	if prefix == "" || len(raw) == 0 {
		return nil
	}
	var all map[string]string
	if len(raw) > maxNotes || json.Unmarshal(raw, &all) != nil {
		return refuse(ErrRejected, "", "the annotations of a descriptor in its manifest are no texts, or have more than %d bytes", maxNotes)
	}
	d.Annotations = map[string]string{}
	for name, text := range all {
		if strings.HasPrefix(name, prefix) {
			d.Annotations[name] = text
		}
	}
	return nil
}
