package guestpull

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/trusted-store/trusted-store/storage"
)

// parseName completes the short forms that users of containers know, as docker
// does.
func parseName(name string) (reference.Named, error) {
	ref, err := reference.ParseDockerRef(name)
	if err != nil {
		return nil, refuse(storage.ErrInvalid, "give it as registry.example/app:1 or registry.example/app@sha256:…",
			"%q is not the name of an image: %w", name, err)
	}
	return ref, nil
}

// tagOrDigest is the part of a name by which the registry is asked.
func tagOrDigest(ref reference.Named) string {
	if pinned, ok := ref.(reference.Digested); ok {
		return pinned.Digest().String()
	}
	return ref.(reference.Tagged).Tag() // ParseDockerRef saw to it
}

// newRepository returns a client of the repository that ref is in.
func newRepository(ref reference.Named, o Options) (*remote.Repository, error) {
	repo, err := remote.NewRepository(ref.Name())
	if err != nil {
		return nil, refuse(storage.ErrInvalid, "", "%w", err)
	}
	loopback := isLoopback(hostOf(repo.Reference.Registry))
	repo.PlainHTTP = o.PlainHTTP || loopback
	repo.MaxMetadataBytes = maxMetadata
	client := &auth.Client{Client: newHTTPClient(o), Cache: auth.NewCache()}
	client.SetUserAgent("trusted-guest")
	repo.Client = client
	if o.AuthFile == "" {
		return repo, nil
	}
	file, err := credentials.NewFileStore(o.AuthFile)
	if err != nil {
		return nil, refuse(storage.ErrInvalid, "give a docker config, as docker login writes it", "credentials: %w", err)
	}
	client.Credential = credentials.Credential(file)
	return repo, nil
}

func newHTTPClient(o Options) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	guarded := &guard{base: base, idle: o.IdleTimeout, plainHTTP: o.PlainHTTP}
	return &http.Client{Transport: &retry.Transport{Base: guarded, Policy: retryPolicy}}
}

// retryPolicy asks again when a registry says that it is busy. A connection that
// broke is not tried again here: whoever asked for the image does that.
func retryPolicy() retry.Policy {
	return &retry.GenericPolicy{
		Retryable: func(answer *http.Response, err error) (bool, error) {
			busy := err == nil && (answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode >= http.StatusInternalServerError)
			return busy, err
		},
		Backoff: retry.DefaultBackoff,
		MinWait: 200 * time.Millisecond, MaxWait: 3 * time.Second, MaxRetry: 2,
	}
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// readMetadata reads a manifest or a config, which must be what its descriptor
// says.
func readMetadata(ctx context.Context, repo *remote.Repository, d ocispec.Descriptor) ([]byte, error) {
	if d.Size > maxMetadata || d.Size < 0 {
		return nil, tooLarge(d.Size)
	}
	body, err := repo.Fetch(ctx, d)
	if err != nil {
		return nil, notWhatWasAsked(err)
	}
	defer body.Close()
	return readVerified(body, d)
}

func readVerified(body io.Reader, d ocispec.Descriptor) ([]byte, error) {
	text, err := readBounded(body)
	if err != nil {
		return nil, err
	}
	if err := d.Digest.Validate(); err != nil {
		return nil, refuse(ErrRejected, "", "its digest %q cannot be checked: %w", d.Digest, err)
	}
	if actual := d.Digest.Algorithm().FromBytes(text); actual != d.Digest {
		return nil, wrongDigest("its digest", actual, d.Digest)
	}
	return text, nil
}

func readBounded(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxMetadata+1))
	if err == nil && len(text) > maxMetadata {
		return nil, tooLarge(int64(len(text)))
	}
	return text, err
}

func tooLarge(size int64) error {
	return refuse(ErrRejected, "", "it has %d bytes or more, %d are the most that is accepted", size, maxMetadata)
}

func wrongDigest(what string, actual, expected fmt.Stringer) error {
	return refuse(ErrRejected, "", "%s is %s, not %s: it was changed on the way, or where it came from", what, actual, expected)
}
