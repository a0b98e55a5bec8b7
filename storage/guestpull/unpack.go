package guestpull

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/log"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
)

// unpack streams one layer from body into dir, and checks both of its digests.
// Nothing of it is on the disk but what it unpacks to.
func (p *pull) unpack(ctx context.Context, body io.Reader, d ocispec.Descriptor, diffID digest.Digest, dir string, progress func(int64)) (*entries, error) {
	in := &compressed{body: body, size: d.Size, hash: d.Digest.Algorithm().Digester(), progress: progress}
	e := newEntries(p.files)
	began := time.Now()
	out, err := p.apply(ctx, in, diffID, dir, e)
	if err != nil {
		return nil, in.tampered(err, d.Digest)
	}
	p.timing.add(time.Since(began), out.took, in.waited)
	if err := in.verify(d.Digest); err != nil {
		return nil, err
	}
	if actual := out.hash.Digest(); actual != diffID {
		return nil, wrongDigest("its diff_id", actual, diffID)
	}
	return e, nil
}

// apply unpacks all of the layer, what follows the archive's end included.
func (p *pull) apply(ctx context.Context, in *compressed, diffID digest.Digest, dir string, e *entries) (*unpacked, error) {
	plain, err := decompress(in)
	if err != nil {
		return nil, faultOfLayer(err)
	}
	defer plain.Close()
	out := &unpacked{plain: plain, hash: diffID.Algorithm().Digester(), budget: p.stream}
	// An archive is read in small pieces, and each read of out takes the time.
	_, err = archive.Apply(quiet(ctx), dir, bufio.NewReaderSize(out, readAhead), archive.WithFilter(e.check), archive.WithConvertWhiteout(archive.OverlayConvertWhiteout))
	if err == nil {
		_, err = io.Copy(io.Discard, out)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	if err == nil && e.root != nil {
		err = setRoot(dir, e.root)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, faultOfLayer(err)
	}
	return out, nil
}

// tampered looks for the reason of a failure: a layer that is not what its digest
// says fails in many ways.
func (c *compressed) tampered(err error, expected digest.Digest) error {
	if !errors.Is(err, ErrRejected) {
		return err
	}
	if _, readErr := io.Copy(io.Discard, c); readErr != nil {
		return err
	}
	if wrong := c.verify(expected); wrong != nil {
		return wrong
	}
	return err
}

// quiet keeps the layer applier from printing.
func quiet(ctx context.Context) context.Context {
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	return log.WithLogger(ctx, logrus.NewEntry(silent))
}

// newLayerDir makes the directory of a layer. Its mode is what a root directory
// has of which no layer says anything.
func newLayerDir(dir string) error {
	return errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755))
}
