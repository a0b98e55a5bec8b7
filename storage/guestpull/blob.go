package guestpull

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxIdleBreaks is how often in a row a blob is asked for again when nothing
	// more of it came.
	maxIdleBreaks = 3
	// maxBreaks is how often it is asked for again at all.
	maxBreaks = 50
)

// blob is content that a registry sends. When the connection breaks, the rest is
// asked for. Whoever reads it has to check size and digest.
type blob struct {
	r   *registry
	ctx context.Context
	d   ocispec.Descriptor
	at  *url.URL // where it was asked for

	answer       *http.Response
	content      io.Reader
	encoded      bool  // for the transport: then it has no known places to go on from
	done, skip   int64 // bytes that were read, and that come once more
	breaks, idle int
}

var anyType = http.Header{"Accept": {"*/*"}}

// open asks for a blob, and where its manifest says that it is, too: layers that
// may not be given away are not in every registry.
func (r *registry) open(ctx context.Context, d ocispec.Descriptor) (*blob, error) {
	b := &blob{r: r, ctx: ctx, d: d, at: r.url("blobs/" + d.Digest.String())}
	if content := embedded(d); content != nil {
		answer := &http.Response{Body: io.NopCloser(bytes.NewReader(content)), ContentLength: d.Size, Request: &http.Request{URL: b.at}}
		return b, b.take(answer)
	}
	answer, err := r.get(ctx, b.at, anyType)
	for _, text := range d.URLs {
		if !errors.Is(err, ErrNoSuchImage) {
			break
		}
		if u, parseErr := url.Parse(text); parseErr == nil && u.Host != "" {
			b.at = u
			answer, err = r.get(ctx, u, anyType)
		}
	}
	if err != nil {
		return nil, err
	}
	return b, b.take(answer)
}

// take goes on with an answer.
func (b *blob) take(answer *http.Response) (err error) {
	encoding := encodingOf(answer)
	if answer.ContentLength == b.d.Size-b.done+b.skip {
		encoding = "" // it is the layer itself that is compressed
	}
	b.answer, b.encoded = answer, encoding != ""
	if b.content, err = decode(encoding, answer.Body); err != nil {
		answer.Body.Close()
	}
	return err
}

// Read is part of io.Reader.
func (b *blob) Read(p []byte) (int, error) {
	for {
		n, err := b.read(p)
		if b.done += int64(n); n > 0 {
			b.idle = 0
		}
		switch {
		case !errors.Is(err, errBroken):
			return n, b.ended(err)
		case b.done == b.d.Size:
			return n, io.EOF // whatever else was to come
		}
		if err = b.resume(err); err != nil || n > 0 {
			return n, err
		}
	}
}

func (b *blob) read(p []byte) (int, error) {
	skipped, err := io.CopyN(io.Discard, b.content, b.skip)
	if b.skip -= skipped; errors.Is(err, io.EOF) {
		err = errBroken
	}
	if err != nil {
		return 0, err
	}
	return b.content.Read(p)
}

// ended keeps to itself how much another than the registry has: whoever reads this
// blob would tell.
func (b *blob) ended(err error) error {
	if errors.Is(err, io.EOF) && b.done < b.d.Size && b.r.led(b.answer) {
		return refuse(ErrRejected, "", "it has fewer bytes than its manifest says")
	}
	return err
}

// resume asks for the rest.
func (b *blob) resume(broken error) error {
	b.breaks, b.idle = b.breaks+1, b.idle+1
	if b.encoded || b.breaks > maxBreaks || b.idle > maxIdleBreaks {
		return broken
	}
	b.answer.Body.Close()
	header := anyType.Clone()
	header.Set("Range", "bytes="+strconv.FormatInt(b.done, 10)+"-")
	answer, err := b.r.get(b.ctx, b.at, header)
	if err != nil {
		return err
	}
	b.skip = b.done // by a server that knows no ranges
	if answer.StatusCode == http.StatusPartialContent {
		b.skip = 0
		if err := rangeIsFrom(answer, b.done); err != nil {
			answer.Body.Close()
			return err
		}
	}
	return b.take(answer)
}

// rangeIsFrom checks that an answer goes on where it should.
func rangeIsFrom(answer *http.Response, at int64) error {
	text := answer.Header.Get("Content-Range")
	if text != "" && !strings.HasPrefix(text, "bytes "+strconv.FormatInt(at, 10)+"-") {
		return refuse(ErrRegistry, "", "it was asked to go on from byte %d, and answers with %s", at, quote(text))
	}
	return nil
}

// Close gives the connection back.
func (b *blob) Close() error { return b.answer.Body.Close() }

// discreet keeps a digest that a reader of this blob found to itself, when another
// than the registry answered.
func (b *blob) discreet(err error) error {
	if m := new(mismatch); b.r.led(b.answer) && errors.As(err, &m) {
		return m.discreet()
	}
	return err
}
