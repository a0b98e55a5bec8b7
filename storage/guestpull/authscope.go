package guestpull

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Docker Hub has many names. Its images are of hub, and come from hubRegistry.
const (
	hub         = "docker.io"
	hubRegistry = "registry-1.docker.io"
)

var hubNames = []string{hub, hubRegistry, "index.docker.io"}

// scopeOf is what a key of an auth file is for, HOST or HOST/NAMESPACE/…, in one
// spelling. Some have a scheme, slashes at the end, or the version of the API.
func scopeOf(key string) string {
	rest, hasScheme := key, false
	if u, err := url.Parse(key); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		rest, hasScheme = u.Host+u.Path, true
	}
	host, path, _ := strings.Cut(rest, "/")
	if host = strings.ToLower(host); slices.Contains(hubNames, host) {
		host = hub
	}
	closed := strings.HasSuffix(path, "/")
	path = strings.Trim(path, "/")
	version, namespace, _ := strings.Cut(path, "/")
	if isVersion := version == "v1" || version == "v2"; isVersion && (hasScheme || namespace == "" && (closed || host == hub)) {
		path = namespace // the address of its API, as docker login writes it
	}
	return strings.TrimSuffix(host+"/"+path, "/")
}

// scopesOf are what keys can be for that an image is in, the closest first.
func scopesOf(domain, path string) []string {
	all := []string{scopeOf(domain)}
	for part := range strings.SplitSeq(path, "/") {
		all = append(all, all[len(all)-1]+"/"+part)
	}
	slices.Reverse(all)
	return all
}

// closest is the key that is for the smallest part of a registry which the image is
// in. Of several spellings one that says something comes first.
func closest[T comparable](entries map[string]T, scopes []string) (key string, found bool) {
	var nothing T
	keys := slices.Sorted(maps.Keys(entries))
	for _, scope := range scopes {
		for _, k := range keys {
			if scopeOf(k) == scope && (!found || entries[key] == nothing) {
				key, found = k, true
			}
		}
		if found {
			break
		}
	}
	return key, found
}
