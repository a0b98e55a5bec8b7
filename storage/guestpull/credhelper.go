package guestpull

import (
	"context"
	"slices"
	"strings"

	helpers "oras.land/oras-go/v2/registry/remote/credentials"
)

// hubServer is what helpers know Docker Hub by.
const hubServer = "https://index.docker.io/v1/"

// helper is the credential helper that the file names for the image, and what it is
// asked for: one for no less a part of the registry than the entry key, or the one
// for all when that entry says nothing.
func (c *credentials) helper(key string, found bool) (name, server string) {
	own := c.file.Auths[key]
	if k, named := closest(c.file.CredHelpers, c.scopes); named {
		scope := scopeOf(k)
		if !found || own == (authEntry{}) || len(scope) >= len(scopeOf(key)) {
			return c.file.CredHelpers[k], serverOf(scope)
		}
		return "", ""
	}
	if own != (authEntry{}) {
		return "", ""
	}
	return c.file.CredsStore, serverOf(c.scopes[len(c.scopes)-1])
}

func serverOf(scope string) string {
	if scope == hub {
		return hubServer
	}
	return scope
}

// mayRun reports whether the caller named the helper: no program is run because a
// file says so.
func (c *credentials) mayRun(helper string) bool {
	return slices.Contains(c.helpers, helper) && !strings.Contains(helper, "/")
}

// runHelper runs docker-credential-NAME.
func runHelper(ctx context.Context, name, server string) (credential, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTime)
	defer cancel()
	got, err := helpers.NewNativeStore(name).Get(ctx, server)
	if err != nil {
		return credential{}, refuse(ErrUnauthorized, "run it by hand", "the credential helper docker-credential-%s fails for %s: %s", name, quote(server), quote(err.Error()))
	}
	return credential{got.Username, got.Password, got.RefreshToken, got.AccessToken}, nil
}
