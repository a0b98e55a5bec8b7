package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Tests run this program as trusted-guest, with its real main.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trusted-guest": main})
}
