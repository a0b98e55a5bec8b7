package guestpull_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// authority signs the certificates of the tests' servers. A process reads its roots
// once: TestMain has the guest's be this one.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

var testAuthority *authority

// trustAuthority makes the authority of this process, in guests only: its file stays
// until they end.
func trustAuthority() error {
	if bed := storagetest.Bed(); bed == "" || bed == "host" {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "of tests"}, NotBefore: time.Unix(0, 0),
		NotAfter: time.Unix(1<<33, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	testAuthority = &authority{key, cert}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("authority-%d.pem", os.Getpid()))
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.Setenv("SSL_CERT_FILE", path)
}

func (a *authority) sign(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Addresses that a guest of the tests has. What they say of where they are is what
// counts, not that all of them are its own.
const (
	publicAddress, otherPublic   = "192.0.2.1", "192.0.2.2"
	privateAddress, otherPrivate = "10.99.0.1", "10.99.0.2"
)

// inNetwork gives the guest these addresses, and names for some.
func inNetwork(t *testing.T) {
	t.Helper()
	inGuest(t)
	for i, a := range []string{publicAddress, otherPublic, privateAddress, otherPrivate} {
		addAddress(t, "lo:"+string(rune('1'+i)), a)
	}
	before, err := os.ReadFile("/etc/hosts")
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	names := "127.0.0.1 localhost\n127.0.0.1 inside.test\n" + privateAddress + " private.test\n" + otherPublic + " other.test\n"
	require.NoError(t, os.WriteFile("/etc/hosts", []byte(names), 0o644))
	t.Cleanup(func() { require.NoError(t, os.WriteFile("/etc/hosts", before, 0o644)) })
}

// addAddress gives the loopback device an address until the test ends: an alias, as
// netdevice(7) describes it.
func addAddress(t *testing.T, alias, address string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	request, err := unix.NewIfreq(alias)
	require.NoError(t, err)
	require.NoError(t, request.SetInet4Addr(net.ParseIP(address).To4()))
	ioctl := func(number uintptr) error {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), number, uintptr(unsafe.Pointer(request)))
		if errno != 0 {
			return errno
		}
		return nil
	}
	require.NoError(t, ioctl(unix.SIOCSIFADDR), address)
}

// serveAt serves at an address, with TLS for these names, or without when there are
// none.
func serveAt(t *testing.T, address string, handler http.Handler, names ...string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listener
	if len(names) > 0 {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{testAuthority.sign(t, names...)}}
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.URL
}

func portOf(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }
