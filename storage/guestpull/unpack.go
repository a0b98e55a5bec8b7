package guestpull

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
)

// unpacking is what one layer is unpacked with.
type unpacking struct {
	*compressed
	key    *layerKey // nil: it is not encrypted
	diffID digest.Digest
	dir    string
	lowest bool
	below  func() (belowLayers, error) // waits for them
}

// unpacked is what came of it.
type unpacked struct {
	bytes int64 // of its files
	marks *marks
}

// unpack streams one layer into its directory, and checks both of its digests.
// Nothing of it is on the disk but what it unpacks to.
func (p *pull) unpack(ctx context.Context, l *unpacking) (*unpacked, error) {
	began := time.Now()
	plain, result, err := p.apply(ctx, l)
	if err != nil {
		return nil, l.key.doubt(l.tampered(err))
	}
	p.timing.add(time.Since(began), plain.took, l.waited)
	if err := l.verify(); err != nil {
		return nil, err
	}
	if actual := plain.hash.Digest(); actual != l.diffID {
		return nil, wrongDigest("its diff_id", actual, l.diffID)
	}
	return result, nil
}

// apply unpacks all of the layer, what follows the archive's end included.
func (p *pull) apply(ctx context.Context, l *unpacking) (*plain, *unpacked, error) {
	t, err := openTree(l.dir, l.lowest, p.budgets)
	if err != nil {
		return nil, nil, err
	}
	defer t.close()
	content, err := l.key.decrypt(l.compressed)
	if err != nil {
		return nil, nil, err
	}
	decompressed, err := decompress(content)
	if err != nil {
		return nil, nil, faultOfLayer(err)
	}
	defer decompressed.Close()
	out := &plain{decompressed: decompressed, hash: l.diffID.Algorithm().Digester(), compressed: l.compressed}
	// An archive is read in small pieces, and each read of out takes the time.
	in := &archive{ctx: ctx, r: bufio.NewReaderSize(out, readAhead), budgets: p.budgets}
	u := &unpacker{tree: t, archive: in, tar: tar.NewReader(in), below: l.below, copied: map[string]bool{}, buffer: make([]byte, readAhead)}
	err = u.all()
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, content)
	}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, faultOfLayer(err)
	}
	return out, &unpacked{u.bytes, t.marks}, nil
}

// newLayerDir makes the directory of a layer. Its mode is what a root directory
// has of which no layer says anything.
func newLayerDir(dir string) error {
	return errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755))
}
