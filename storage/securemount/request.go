package securemount

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// Source is what a request says of the device's contents.
type Source uint8

const (
	// SourceEncrypted: the device holds a volume, which is opened. Nothing is
	// ever formatted.
	SourceEncrypted Source = iota
	// SourceEmpty is the caller's statement to format: whatever the device
	// holds is destroyed.
	SourceEmpty
)

// Target is what a request wants at its mount point.
type Target uint8

const (
	// TargetFilesystem: a mounted filesystem.
	TargetFilesystem Target = iota
	// TargetDevice: a symbolic link to the mapping.
	TargetDevice
)

// Request is a SecureMount request that was understood whole.
type Request struct {
	DeviceID   string // "MAJ:MIN"; empty: see DevicePath
	DevicePath string
	Source     Source
	Target     Target
	Key        KeySource // the zero value: a random key
	Integrity  storage.Integrity
	Cipher     storage.Cipher
	Filesystem storage.FilesystemOptions
	MapperName string // empty: the service chooses
	MountFlags storage.MountFlags
	MountPoint string // absolute, canonical, without a slash at its end
}

// InvalidRequestError lists all that is wrong with a request. Nothing was
// touched.
type InvalidRequestError struct{ Problems []string }

// Error names every problem.
func (e *InvalidRequestError) Error() string {
	return "request refused: " + strings.Join(e.Problems, "; ")
}

// ParseRequest understands a request, or says all that is wrong with it. It looks
// at nothing but the request.
func ParseRequest(req *cdh.SecureMountRequest) (Request, error) {
	if err := checkBounds(req); err != nil {
		return Request{}, err
	}
	p := &parser{left: maps.Clone(req.GetOptions())}
	if t := req.GetVolumeType(); t != "block-device" && t != "BlockDevice" {
		p.problem("volume_type %s: expected \"block-device\"", quote(t))
	}
	r := Request{MountPoint: p.mountPoint(req.GetMountPoint())}
	p.device(&r)
	p.kind(&r)
	p.encryption(&r)
	p.filesystem(&r)
	r.MapperName = p.mapperName()
	r.MountFlags = p.mountFlags(req.GetFlags())
	for _, name := range slices.Sorted(maps.Keys(p.left)) {
		p.problem("option %s: unknown", quote(name))
	}
	if len(p.problems) > 0 {
		return Request{}, &InvalidRequestError{p.problems}
	}
	return r, nil
}

const (
	maxOptions = 64
	maxValue   = 64 << 10 // a sealed secret is the longest
	maxFlags   = 64
)

// checkBounds keeps what follows from working on huge inputs.
func checkBounds(req *cdh.SecureMountRequest) error {
	problem := ""
	switch {
	case len(req.GetOptions()) > maxOptions:
		problem = fmt.Sprintf("%d options: %d are the most", len(req.GetOptions()), maxOptions)
	case len(req.GetFlags()) > maxFlags:
		problem = fmt.Sprintf("%d flags: %d are the most", len(req.GetFlags()), maxFlags)
	}
	for name, value := range req.GetOptions() {
		if len(name) > maxValue || len(value) > maxValue {
			problem = fmt.Sprintf("option %s: longer than %d bytes", quote(name), maxValue)
		}
	}
	if problem != "" {
		return &InvalidRequestError{[]string{problem}}
	}
	return nil
}

// quote repeats a part of a request in an error, the beginning of it if it is
// long.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
