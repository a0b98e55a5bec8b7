package guestpull

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxHeaders bounds the headers of an answer, in bytes.
const maxHeaders = 256 << 10

// newTransport connects only to addresses that check accepts, when they are dialled:
// a name cannot lead elsewhere between the check and the connection. What a proxy
// connects to is the proxy's to check.
func newTransport(check func(netip.Addr) error, known *tls.Config, choose func(*http.Request) (*url.URL, error)) *http.Transport {
	var proxies sync.Map // host and port
	checked := &net.Dialer{Timeout: 30 * time.Second, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return check(to.Addr())
	}}
	unchecked := &net.Dialer{Timeout: 30 * time.Second}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true // see decode
	t.MaxResponseHeaderBytes = maxHeaders
	t.TLSClientConfig = known.Clone()
	t.Proxy = func(request *http.Request) (*url.URL, error) {
		proxy, err := choose(request)
		if proxy != nil {
			proxies.Store(hostPort(proxy), true)
		}
		return proxy, err
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if _, isProxy := proxies.Load(strings.ToLower(address)); isProxy {
			return unchecked.DialContext(ctx, network, address)
		}
		return checked.DialContext(ctx, network, address)
	}
	return t
}

// checkHome keeps a name for this machine, which is spoken to without TLS, from
// being the name of another.
func (g *guard) checkHome(a netip.Addr) error {
	if g.home.Scheme == "http" && !g.plain && placeOf(a) != machine {
		return refuse(ErrRegistry, plainHint, "%s is at %s, not on this machine: it is not asked without TLS", g.home.Host, a)
	}
	return nil
}

// check is for where home leads.
func (g *guard) check(a netip.Addr) error {
	if home, to := g.homePlace(), placeOf(a); !home.mayLeadTo(to) {
		return refuse(ErrRegistry, "", "it leads to %s, %v: a registry %v must not", a, to, home)
	}
	return nil
}

// checkPlain is for where home, which is spoken to without TLS, leads without it.
func (g *guard) checkPlain(a netip.Addr) error {
	if g.homePlace() != placeOf(a) {
		return withoutTLS(a.String())
	}
	return nil
}

const plainHint = "ask for plain http if that network is trusted"

func withoutTLS(where string) error {
	return refuse(ErrRegistry, "", "it leads to %s, which is without TLS", where)
}

// literal is the address that a host is written as.
func literal(host string) (netip.Addr, bool) {
	if host == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	a, err := netip.ParseAddr(host)
	return a, err == nil
}

func checkLiteral(u *url.URL, check func(netip.Addr) error) error {
	if a, ok := literal(u.Hostname()); ok {
		return check(a)
	}
	return nil
}

// isLoopback reports whether a host is written as this machine.
func isLoopback(host string) bool {
	a, ok := literal(host)
	return ok && a.Unmap().IsLoopback()
}
