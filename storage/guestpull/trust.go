package guestpull

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"

	"go.podman.io/image/v5/pkg/tlsclientconfig"

	"github.com/trusted-store/trusted-store/storage"
)

// trust is how servers are known: those of home, and all others.
type trust struct{ home, away *tls.Config }

// newTrust reads what the caller trusts beside the system's roots. Certificates of
// this guest are for home alone.
func newTrust(host string, insecure bool, o Options) (*trust, error) {
	home := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(o.RootCertificates) > 0 {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, err
		}
		for i, text := range o.RootCertificates {
			if !roots.AppendCertsFromPEM([]byte(text)) {
				return nil, refuse(storage.ErrInvalid, "give them as PEM", "extra root certificate %d of %d is none", i+1, len(o.RootCertificates))
			}
		}
		home.RootCAs = roots
	}
	if o.CertDir != "" {
		if _, err := os.Stat(o.CertDir); err != nil {
			return nil, refuse(storage.ErrInvalid, "", "certificates: %w", err)
		}
		dir := filepath.Join(o.CertDir, host)
		if err := tlsclientconfig.SetupCertificates(dir, home); err != nil {
			return nil, refuse(storage.ErrInvalid, "", "certificates in %s: %w", quote(dir), err)
		}
	}
	away := &tls.Config{MinVersion: home.MinVersion, RootCAs: home.RootCAs}
	home.InsecureSkipVerify = insecure // registries.conf says so of this registry
	return &trust{home, away}, nil
}
