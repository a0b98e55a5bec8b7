package guestpull

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// budget is what an image may still unpack to, shared by its layers.
type budget struct {
	limit uint64
	left  atomic.Int64
}

// newBudget allows a slack beside the limit, which is what errors speak of.
func newBudget(limit, slack uint64) *budget {
	b := &budget{limit: min(limit, 1<<61)}
	b.left.Store(int64(b.limit + min(slack, 1<<61)))
	return b
}

func (b *budget) take(n int64) error {
	if n < 0 || b.left.Add(-n) < 0 {
		return refuse(ErrNoRoom, "", "the image unpacks to more than the %s that it may take", humanize.IBytes(b.limit))
	}
	return nil
}

// compressed is a layer as it comes from the registry: counted, hashed, and no
// longer than its manifest says.
type compressed struct {
	body     io.Reader
	size     int64
	hash     digest.Digester
	progress func(done int64)
	read     int64
	waited   time.Duration // for the network
}

func (c *compressed) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := c.body.Read(p)
	c.waited += time.Since(began)
	c.read += int64(n)
	if c.read > c.size {
		return 0, refuse(ErrRejected, "", "it is longer than the %d bytes of its manifest", c.size)
	}
	c.hash.Hash().Write(p[:n])
	c.progress(c.read)
	return n, err
}

// verify is called at the end of the layer.
func (c *compressed) verify(expected digest.Digest) error {
	if c.read != c.size {
		return refuse(ErrRejected, "", "it has %d bytes, its manifest says %d", c.read, c.size)
	}
	if actual := c.hash.Digest(); actual != expected {
		return wrongDigest("its digest", actual, expected)
	}
	return nil
}

// unpacked is a layer as it is unpacked: hashed, and within the budget.
type unpacked struct {
	plain  io.Reader
	hash   digest.Digester
	budget *budget
	took   time.Duration // for reading, the network included
}

func (u *unpacked) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := u.plain.Read(p)
	if n > 0 {
		u.hash.Hash().Write(p[:n])
	}
	u.took += time.Since(began)
	if over := u.budget.take(int64(n)); over != nil {
		return 0, over
	}
	if err != nil && !errors.Is(err, io.EOF) && kindOf(err) == nil {
		err = refuse(ErrRejected, "", "it does not decompress: %w", err)
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
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}
