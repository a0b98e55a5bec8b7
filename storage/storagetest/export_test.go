package storagetest

import (
	"testing"
	"time"
)

// HurryLeaks does not wait for what will never go by itself.
func HurryLeaks(t *testing.T) {
	before := leakWait
	leakWait = time.Second
	t.Cleanup(func() { leakWait = before })
}
