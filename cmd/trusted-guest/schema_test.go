package main

import (
	"testing"

	"github.com/trusted-store/trusted-store/internal/reference"
	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// What verbs print with --json.
var outputs = reference.Outputs{
	"pull":       {guestpull.Image{}},
	"image list": {[]guestpull.Stored{}},
}

// The committed schemas are those of the types.
func TestSchemas(t *testing.T) {
	reference.RequireSchemas(t, outputs, "trusted-guest", *writeReference)
}
