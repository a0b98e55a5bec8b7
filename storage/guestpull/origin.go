package guestpull

import (
	"net"
	"net/url"
	"strings"
)

// originOf is the scheme, host and port of a URL, in one spelling.
func originOf(u *url.URL) string {
	return strings.ToLower(u.Scheme) + "://" + hostPort(u)
}

// The last ones are those of proxies.
var defaultPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// hostPort is what is dialled for a URL.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPorts[strings.ToLower(u.Scheme)]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// address is a URL for errors: quoted, without a password, and without the
// parameters in which storage services put theirs.
func address(u *url.URL) string {
	return quote((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}
