package guestpull

import (
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpproxy"
)

// Proxy is what requests go through.
type Proxy struct {
	HTTPS, HTTP string // URLs: for requests with and without TLS
	No          string // hosts that are asked directly, as in NO_PROXY
}

// function is that of a transport.
func (p *Proxy) function() func(*http.Request) (*url.URL, error) {
	if p == nil {
		return http.ProxyFromEnvironment
	}
	choose := (&httpproxy.Config{HTTPProxy: p.HTTP, HTTPSProxy: p.HTTPS, NoProxy: p.No}).ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }
}
