// Package vector reads and writes the header vectors of testdata/luks2: text
// files of "name: value" lines, an empty line, and the start of a device,
// deflated, in base64.
package vector

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// HeadersSize is the size of both copies of a header; areas follow.
const HeadersSize = 32768

// Vector is one header, with what must become of it.
type Vector struct {
	Name  string
	About string // what it is, or what it would do
	Base  string // name of the accepted vector that it was made of; may be empty
	// Rules are the violations expected, sorted; none when it is accepted.
	Rules []string
	// Integrity is the rule to read with: hmac-sha256, none or any.
	Integrity string
	// MaxArgon2Memory, in bytes, is the bound to read with; 0 for the default.
	MaxArgon2Memory uint64
	// Key opens Slot when it is not empty.
	Key  []byte
	Slot int
	// VolumeKeySHA256 is what the volume key that Key gives hashes to.
	VolumeKeySHA256 []byte
	// Area names a file of areas/ that follows the headers; empty: as many
	// zero bytes as the key slots need.
	Area string
	// Bytes are the first bytes of the device, at most HeadersSize.
	Bytes []byte
	// Tail is how many bytes follow Bytes.
	Tail int
}

func (v *Vector) fields() [][2]string {
	f := [][2]string{{"name", v.Name}, {"about", v.About}, {"base", v.Base},
		{"rules", strings.Join(v.Rules, " ")}, {"integrity", v.Integrity}}
	if v.MaxArgon2Memory > 0 {
		f = append(f, [2]string{"max-argon2-memory", strconv.FormatUint(v.MaxArgon2Memory, 10)})
	}
	if len(v.Key) > 0 {
		f = append(f, [2]string{"key", hex.EncodeToString(v.Key)}, [2]string{"slot", strconv.Itoa(v.Slot)},
			[2]string{"volume-key-sha256", hex.EncodeToString(v.VolumeKeySHA256)})
	}
	return append(f, [2]string{"area", v.Area}, [2]string{"tail", strconv.Itoa(v.Tail)})
}

// Encode returns the file of a vector.
func (v *Vector) Encode() []byte {
	var out, packed bytes.Buffer
	for _, f := range v.fields() {
		if f[1] != "" {
			fmt.Fprintf(&out, "%s: %s\n", f[0], f[1])
		}
	}
	out.WriteByte('\n')
	z, _ := zlib.NewWriterLevel(&packed, zlib.BestCompression) // the level is a constant
	_, _ = z.Write(v.Bytes)                                    // a bytes.Buffer does not fail
	_ = z.Close()
	text := base64.StdEncoding.EncodeToString(packed.Bytes())
	for chunk := range slices.Chunk([]byte(text), 76) {
		out.Write(append(chunk[:len(chunk):len(chunk)], '\n'))
	}
	return out.Bytes()
}

// Parse is the inverse of Encode.
func Parse(b []byte) (*Vector, error) {
	head, body, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok {
		return nil, errors.New("no empty line")
	}
	v := &Vector{}
	for line := range strings.Lines(string(head)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if err := v.set(name, value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	packed, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(body), "\n", ""))
	if err != nil {
		return nil, err
	}
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	v.Bytes, err = io.ReadAll(z)
	return v, err
}

func (v *Vector) set(name, value string) (err error) {
	switch name {
	case "name":
		v.Name = value
	case "about":
		v.About = value
	case "base":
		v.Base = value
	case "rules":
		v.Rules = strings.Fields(value)
	case "integrity":
		v.Integrity = value
	case "max-argon2-memory":
		v.MaxArgon2Memory, err = strconv.ParseUint(value, 10, 64)
	case "key":
		v.Key, err = hex.DecodeString(value)
	case "slot":
		v.Slot, err = strconv.Atoi(value)
	case "volume-key-sha256":
		v.VolumeKeySHA256, err = hex.DecodeString(value)
	case "area":
		v.Area = value
	case "tail":
		v.Tail, err = strconv.Atoi(value)
	default:
		err = errors.New("unknown line")
	}
	return err
}

// Device returns the start of the device: the headers and what follows.
func (v *Vector) Device(root string) ([]byte, error) {
	out := make([]byte, len(v.Bytes)+v.Tail)
	copy(out, v.Bytes)
	if v.Area == "" {
		return out, nil
	}
	area, err := os.ReadFile(filepath.Join(root, "areas", v.Area))
	if err != nil {
		return nil, err
	}
	copy(out[len(v.Bytes):], area)
	return out, nil
}

// Load reads all vectors of a directory, by name.
func Load(dir string) ([]*Vector, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.vector"))
	if err != nil {
		return nil, err
	}
	var all []*Vector
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		v, err := Parse(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all = append(all, v)
	}
	return all, nil
}
