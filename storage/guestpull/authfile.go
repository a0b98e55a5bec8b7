package guestpull

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// authFile is what a docker config (config.json) or containers' auth.json says of
// credentials. Sources: containers-auth.json(5), and docker's documentation of the
// command login.
type authFile struct {
	Auths       map[string]authEntry `json:"auths"`
	CredHelpers map[string]string    `json:"credHelpers"`
	CredsStore  string               `json:"credsStore"`
}

type authEntry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// credential is what one registry is sent. The zero value is nobody's.
type credential struct {
	user, password string
	identity       string // a refresh token, for token services
	bearer         string // a token for the registry itself
}

// maxAuthFile bounds a file of credentials, in bytes.
const maxAuthFile = 1 << 20

// parseAuthFile reads a file. Its errors repeat nothing of it.
func parseAuthFile(text []byte) (*authFile, error) {
	var f authFile
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("it is no JSON of a docker config, at byte %d", offsetOf(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows its JSON object")
	}
	return &f, nil
}

// credential decodes an entry.
func (e authEntry) credential() (credential, error) {
	c := credential{e.Username, e.Password, e.IdentityToken, e.RegistryToken}
	if e.Auth == "" {
		return c, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(e.Auth))
	if err != nil {
		if decoded, err = base64.RawStdEncoding.DecodeString(strings.TrimSpace(e.Auth)); err != nil {
			return c, errors.New("its auth is no base64")
		}
	}
	user, password, found := strings.Cut(string(decoded), ":")
	if !found {
		return c, errors.New("its auth is not of the form USER:PASSWORD, in base64")
	}
	c.user, c.password = user, strings.Trim(password, "\x00")
	return c, nil
}
