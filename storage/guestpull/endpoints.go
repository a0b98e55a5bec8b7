package guestpull

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
	"github.com/distribution/reference"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/types"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
)

// endpoint is one of the places that an image may come from.
type endpoint struct {
	ref        reference.Named // as it is called there
	insecure   bool            // its certificate is not looked at
	plain      bool            // it is asked without TLS
	noPassword bool            // it is asked without credentials
}

// endpointsOf are the places for an image, in the order in which they are asked:
// mirrors, and then the registry itself.
func endpointsOf(ctx context.Context, ref reference.Named, o Options) ([]endpoint, error) {
	all := []endpoint{{ref: ref}}
	if o.Registries.Given() {
		text, err := o.Registries.read(ctx, "registries.conf", o)
		if err != nil {
			return nil, err
		}
		if all, err = configured(text, ref, o); err != nil {
			return nil, err
		}
	}
	if o.AnonymousFallback && o.AuthFile != "" {
		return withoutPasswords(all), nil
	}
	return all, nil
}

// withoutPasswords adds each place once more.
func withoutPasswords(all []endpoint) []endpoint {
	var twice []endpoint
	for _, e := range all {
		again := e
		again.noPassword = true
		twice = append(twice, e, again)
	}
	return twice
}

// configured are the places that a registries.conf has for an image. Source:
// containers-registries.conf(5).
func configured(text []byte, ref reference.Named, o Options) ([]endpoint, error) {
	text, err := withLocations(text)
	var found *sysregistriesv2.Registry
	if err == nil {
		found, err = findRegistry(text, ref)
	}
	switch {
	case err != nil:
		return nil, refuse(storage.ErrInvalid, "see containers-registries.conf(5), version 2", "registries.conf %v: %w", o.Registries, err)
	case found == nil:
		return []endpoint{{ref: ref}}, nil
	case found.Blocked:
		return nil, refuse(ErrBlocked, "", "registries.conf %v blocks %s", o.Registries, quote(found.Prefix))
	}
	sources, err := found.PullSourcesFromReference(ref)
	if err != nil {
		return nil, refuse(storage.ErrInvalid, "", "registries.conf %v: %w", o.Registries, err)
	}
	var all []endpoint
	for _, s := range sources {
		e := endpoint{ref: s.Reference}
		if s.Endpoint.Insecure {
			all = append(all, endpoint{ref: e.ref, insecure: true})
			e.plain = true
		}
		all = append(all, e)
	}
	return all, nil
}

// withLocations writes into entries that have a prefix alone that their location is
// the same, as guests' services read them and the library does not.
func withLocations(text []byte) ([]byte, error) {
	var file map[string]any
	if err := toml.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	entries, _ := file["registry"].([]map[string]any) // of another kind: the library says so
	for _, entry := range entries {
		prefix, _ := entry["prefix"].(string)
		if _, has := entry["location"]; !has && prefix != "" && !strings.HasPrefix(prefix, "*.") {
			entry["location"] = prefix
		}
	}
	return encodeTOML(file)
}

// registriesLock is held while the library's own cache has our file.
var registriesLock sync.Mutex

// findRegistry has the library read a file that has no name.
func findRegistry(text []byte, ref reference.Named) (_ *sysregistriesv2.Registry, err error) {
	fd, err := unix.MemfdCreate("registries.conf", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "registries.conf")
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(text); err != nil {
		return nil, err
	}
	registriesLock.Lock()
	defer registriesLock.Unlock()
	defer sysregistriesv2.InvalidateCache()
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	c := &types.SystemContext{SystemRegistriesConfPath: path, SystemRegistriesConfDirPath: path + ".d"}
	sysregistriesv2.InvalidateCache()
	found, err := sysregistriesv2.FindRegistry(c, ref.Name())
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // without the name of the file that has none
	}
	return found, err
}

// String is for errors.
func (e endpoint) String() string {
	text := e.ref.Name()
	switch {
	case e.plain:
		text += " without TLS"
	case e.noPassword:
		text += " without credentials"
	}
	return text
}
