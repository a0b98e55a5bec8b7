package guestpull

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// compressed is a layer as it comes from the registry: counted, hashed, and no
// longer than its manifest says.
type compressed struct {
	body     io.Reader
	stop     func() // ends reading, from wherever it is called
	is       ocispec.Descriptor
	hash     digest.Digester
	progress func(done int64)
	pace     *pace
	read     int64
	plain    int64         // bytes that it unpacked to so far
	waited   time.Duration // for the network
	failed   error         // why reading ended; decompressors may say something else
}

// idleBytes is what of a layer may be read and come to nothing, beside an eighth
// of what it unpacks to: tables of contents, frames, and what cannot be compressed.
const idleBytes = 4 << 20

func (c *compressed) Read(p []byte) (int, error) {
	n, err := c.next(p)
	if c.read > idleBytes+c.plain+c.plain/8 {
		n, err = 0, noProgress(c.read, c.plain)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.failed = err
	}
	return n, err
}

func (c *compressed) next(p []byte) (int, error) {
	began := time.Now()
	c.pace.begin(began)
	n, err := c.body.Read(p)
	c.waited += c.pace.end(began, n)
	c.read += int64(n)
	if c.read > c.is.Size {
		return 0, refuse(ErrRejected, "", "it is longer than the %d bytes of its manifest", c.is.Size)
	}
	c.hash.Hash().Write(p[:n])
	c.progress(c.read)
	return n, err
}

// verify is called at the end of the layer.
func (c *compressed) verify() error {
	if c.read != c.is.Size {
		return refuse(ErrRejected, "", "it has %d bytes, its manifest says %d", c.read, c.is.Size)
	}
	if actual := c.hash.Digest(); actual != c.is.Digest {
		return wrongDigest("its digest", actual, c.is.Digest)
	}
	return nil
}

// How far, and how long, the reason of a failure is looked for.
const (
	tamperedBytes = 4 << 20
	tamperedTime  = 2 * time.Second
)

// tampered looks for the reason of a failure: a layer that is not what its digest
// says fails in many ways.
func (c *compressed) tampered(err error) error {
	if !errors.Is(err, ErrRejected) || c.is.Size-c.read > tamperedBytes {
		return err
	}
	defer time.AfterFunc(tamperedTime, c.stop).Stop()
	for piece := make([]byte, readAhead); ; {
		_, readErr := c.next(piece)
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			return err
		}
	}
	if wrong := c.verify(); wrong != nil {
		return wrong
	}
	return err
}

// plain is a layer as it is unpacked: hashed.
type plain struct {
	decompressed io.Reader
	compressed   *compressed
	hash         digest.Digester
	took         time.Duration // for reading, the network included
}

func (u *plain) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := u.decompressed.Read(p)
	u.compressed.plain += int64(n)
	if n > 0 {
		u.hash.Hash().Write(p[:n])
	}
	u.took += time.Since(began)
	switch {
	case err == nil, errors.Is(err, io.EOF):
	case u.compressed.failed != nil:
		err = u.compressed.failed
	case kindOf(err) == nil:
		err = refuse(ErrRejected, "", "it does not decompress: %w", err)
	}
	return n, err
}

// archive is what the reader of a layer's archive reads: within the budgets, until
// the context ends.
type archive struct {
	ctx     context.Context
	r       io.Reader
	budgets *budgets
	inFile  bool // what is read is a file's, and was taken from the budget already
}

func (a *archive) Read(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := a.r.Read(p)
	a.budgets.archives.Add(int64(n))
	if !a.inFile {
		if over := a.budgets.headers.take(int64(n)); over != nil {
			return 0, over
		}
	}
	return n, err
}

const readAhead = 128 << 10

// decompress tells by its first bytes how a layer is compressed; media types are
// often wrong.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, readAhead)
	magic, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(b)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), isSkippable(magic):
		d, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}

// isSkippable reports whether zstd data begins with a frame that has no contents.
func isSkippable(magic []byte) bool {
	return len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18})
}
