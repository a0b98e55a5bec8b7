package storage

import (
	"fmt"
	"io"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/blockdev"
)

// checkBlank refuses a device with a known signature, and reports whether there
// was one that is allowed to be destroyed. An ephemeral volume of before counts
// as blank.
func (c *claimed) checkBlank(allowed Overwrite) (found bool, err error) {
	signature, err := blockdev.Signature(c.File(), c.Size())
	if err != nil {
		return false, fmt.Errorf("look for signatures: %w", err)
	}
	partitions, err := blockdev.Partitions(c.Number())
	if err != nil {
		return false, err
	}
	switch {
	case signature.Name == "" && len(partitions) == 0:
		return false, nil
	case signature.Name == "LUKS2" && keyless(c.File()):
		return false, nil
	case allowed == OverwriteAnything:
		return true, nil
	case signature.Name == "":
		return false, refuse(ErrNotBlank, "name a partition, or remove them", "the device has partitions")
	}
	return false, refuse(ErrNotBlank, "with CreateOptions.Overwrite it is destroyed", "the device holds %v", signature)
}

// keyless reports whether the device holds a LUKS2 header without key slots: an
// ephemeral volume of before, which nobody can open again. Of a process that was
// killed while it wrote or cleared one there may be one copy only.
func keyless(device io.ReaderAt) bool {
	p := cryptsetup.Profile{Integrity: cryptsetup.AnyIntegrity}
	// A header with key slots is truncated so, and rejected: its areas need not be read
	// to see that one has none.
	if _, err := cryptsetup.Read(io.NewSectionReader(device, 0, headersSize), p); err == nil {
		return true
	}
	found := false
	for n := range int64(2) {
		header, err := cryptsetup.Recover(withoutCopy{device, n * headersSize / 2, headersSize / 2}, p)
		if err == nil && len(header.Keyslots()) > 0 {
			return false
		}
		found = found || err == nil
	}
	return found
}

// withoutCopy reads zeros in the place of one of the copies of a header.
type withoutCopy struct {
	io.ReaderAt
	at, length int64
}

func (w withoutCopy) ReadAt(b []byte, offset int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(b, offset)
	from, to := max(w.at-offset, 0), min(w.at+w.length-offset, int64(n))
	if from < to {
		clear(b[from:to])
	}
	return n, err
}
