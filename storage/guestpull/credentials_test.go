package guestpull_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// basic is an entry of an auth file.
func basic(user, password string) map[string]string {
	return map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}
}

func authConfig(t testing.TB, members map[string]any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(path, encode(t, members), 0o600))
	return path
}

// auths is a file with these entries, each of a user called as its key is.
func auths(t testing.TB, keys ...string) string {
	all := map[string]any{}
	for _, key := range keys {
		all[key] = basic(strings.ReplaceAll(key, ":", ";"), "x")
	}
	return authConfig(t, map[string]any{"auths": all})
}

// The entry for the smallest part of a registry that the image is in, whatever else
// the file has, and never one for another part.
func TestTheClosestEntry(t *testing.T) {
	ours := auths(t, "r.example", "r.example/team", "r.example/team/app", "r.example/tea", "r.example/team/ap", "r.example:5000", "r.example:5000/v2",
		"example", "other.example", "r.example/other", "https://s.example/", "http://t.example/v2/", "https://u.example/v1/team", "V.example", "w.example/v1/", "x.example/v1")
	for image, want := range map[string]string{
		"r.example/team/app":       "r.example/team/app",
		"r.example/team/app/sub":   "r.example/team/app",
		"r.example/team/app2":      "r.example/team",
		"r.example/team2/app":      "r.example",
		"r.example/app":            "r.example",
		"r.example:5000/team/app":  "r.example;5000",
		"r.example:5000/v2/app":    "r.example;5000/v2",
		"r.example:443/app":        "",
		"sub.r.example/team/app":   "",
		"other.example/team/app":   "other.example",
		"s.example/app":            "https;//s.example/",
		"t.example/app":            "http;//t.example/v2/",
		"u.example/team/app":       "https;//u.example/v1/team",
		"u.example/app":            "",
		"v.example/app":            "V.example",
		"w.example/app":            "w.example/v1/",
		"x.example/app":            "",
		"x.example/v1/app":         "x.example/v1",
		"nothing.example/team/app": "",
	} {
		got, hint, err := guestpull.CredentialOf(t.Context(), image+":1", guestpull.Options{AuthFile: ours})
		require.NoError(t, err)
		if want == "" {
			require.Empty(t, got, image)
			require.Contains(t, hint, "has none for "+image)
			continue
		}
		require.Equal(t, want+":x", got, image)
	}
}

// Docker Hub has many names, and all are of the same registry.
func TestNamesOfDockerHub(t *testing.T) {
	for _, key := range []string{"docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/", "https://index.docker.io/v1",
		"https://index.docker.io/v2/", "index.docker.io/v1/", "docker.io/", "https://registry-1.docker.io/v2/", "http://docker.io"} {
		for _, image := range []string{"busybox", "library/busybox", "docker.io/team/app", "index.docker.io/team/app:1", "registry-1.docker.io/team/app"} {
			got, _, err := guestpull.CredentialOf(t.Context(), image, guestpull.Options{AuthFile: auths(t, "r.example", key)})
			require.NoError(t, err)
			require.NotEmpty(t, got, "%s for %s", key, image)
		}
		for _, image := range []string{"docker.io.example/app", "quay.io/app", "xdocker.io/app"} {
			got, _, err := guestpull.CredentialOf(t.Context(), image, guestpull.Options{AuthFile: auths(t, key)})
			require.NoError(t, err)
			require.Empty(t, got, "%s for %s", key, image)
		}
	}
	for key, image := range map[string]string{"docker.io/team": "team/app", "https://index.docker.io/v1/team": "team/app", "docker.io/library/busybox": "busybox"} {
		got, _, err := guestpull.CredentialOf(t.Context(), image, guestpull.Options{AuthFile: auths(t, "docker.io/other", "docker.io", key)})
		require.NoError(t, err)
		require.Equal(t, strings.ReplaceAll(key, ":", ";")+":x", got)
	}
}

// What an entry can hold.
func TestEntries(t *testing.T) {
	for want, entry := range map[string]any{
		"me:a:b:c":         basic("me", "a:b:c"),
		"me:":              basic("me", ""),
		"me:€ x":           basic("me", "€ x"),
		"me:padded":        basic("me", "padded\x00\x00"),
		"me:unpadded":      map[string]string{"auth": base64.RawStdEncoding.EncodeToString([]byte("me:unpadded"))},
		"me:plain":         map[string]string{"username": "me", "password": "plain"},
		"me:of auth":       map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("me:of auth")), "username": "other", "password": "other", "email": "x@example"},
		"identity:refresh": map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("<token>:")), "identitytoken": "refresh"},
		"bearer:of itself": map[string]string{"registrytoken": "of itself"},
		"":                 map[string]string{},
	} {
		file := authConfig(t, map[string]any{"auths": map[string]any{"r.example/team": entry, "r.example": basic("of all", "x")}})
		got, _, err := guestpull.CredentialOf(t.Context(), "r.example/team/app", guestpull.Options{AuthFile: file})
		require.NoError(t, err)
		require.Equal(t, want, got, "also an empty entry is the closest: nobody's")
		got, _, err = guestpull.CredentialOf(t.Context(), "r.example/team/app", guestpull.Options{AuthFile: "file://" + file})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	file := authConfig(t, map[string]any{"auths": map[string]any{"docker.io": map[string]any{}, "https://index.docker.io/v1/": basic("me", "x")}})
	got, _, err := guestpull.CredentialOf(t.Context(), "busybox", guestpull.Options{AuthFile: file})
	require.NoError(t, err)
	require.Equal(t, "me:x", got, "of two spellings the one that says something")
}

// A file that cannot be used is refused, and none of what is in it is repeated.
func TestWrongAuthFiles(t *testing.T) {
	const secret = "s3cr3t"
	encoded := base64.StdEncoding.EncodeToString([]byte(secret))
	dir := t.TempDir()
	for says, text := range map[string]string{
		"no JSON of a docker config, at byte 0":   "",
		"docker config, at byte 10":               `{"auths":` + secret,
		"no JSON of a docker config":              `{"auths":{"r.example":"` + secret + `"}}`,
		"no JSON of a docker config, at":          `{"auths":{"r.example":{"auth":31415926}}}`,
		"something follows":                       `{} ` + secret,
		`entry "r.example": its auth is no`:       `{"auths":{"r.example":{"auth":"!` + secret + `"}}}`,
		`"r.example": its auth is not of the for`: `{"auths":{"r.example":{"auth":"` + encoded + `"}}}`,
		"has more than 1048576 bytes":             strings.Repeat(secret, 200_000),
	} {
		path := filepath.Join(dir, "config.json")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, _, err := guestpull.CredentialOf(t.Context(), "r.example/app", guestpull.Options{AuthFile: path})
		require.ErrorIs(t, err, storage.ErrInvalid, says)
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, path)
		for _, hidden := range []string{secret, encoded, "31415926"} {
			require.NotContains(t, err.Error(), hidden)
		}
	}
	for _, path := range []string{filepath.Join(dir, "none"), dir} {
		_, _, err := guestpull.CredentialOf(t.Context(), "r.example/app", guestpull.Options{AuthFile: path})
		require.ErrorIs(t, err, storage.ErrInvalid)
		require.ErrorContains(t, err, path)
	}
}

// asUser serves only a user, and counts those that others' passwords came for.
func asUser(t testing.TB, reg *testRegistry, want string) {
	reg.serve(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, given := r.BasicAuth()
			if given && user+":"+password == want {
				next.ServeHTTP(w, r)
				return
			}
			if given {
				t.Errorf("%s came, not %s", user+":"+password, want)
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
	})
}

// Two teams, one registry: nobody's password is sent for the image of another.
func TestTeamsOfARegistry(t *testing.T) {
	reg := newRegistry(t, t.TempDir())
	name, d := reg.push(t, "team-b/app:1", newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "x") }).image)
	asUser(t, reg, strings.ReplaceAll(reg.host, ":", ";")+"/team-b:x")
	for range 10 {
		got, err := fetch(t, name, guestpull.Options{AuthFile: auths(t, reg.host+"/team-a", reg.host+"/team-b", reg.host, reg.host+"/team")})
		require.NoError(t, err)
		require.Equal(t, d, got.Digest)
	}
	_, err := fetch(t, name, guestpull.Options{AuthFile: auths(t, reg.host+"/team-a")})
	require.ErrorIs(t, err, guestpull.ErrUnauthorized)
	e := new(storage.Error)
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Hint, "has none for "+reg.host+"/team-b/app")
	_, err = fetch(t, name, guestpull.Options{})
	require.ErrorIs(t, err, guestpull.ErrUnauthorized)
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Hint, "docker config")
}

// A wrong password is sent once, and is in no error.
func TestWrongPassword(t *testing.T) {
	reg := newRegistry(t, t.TempDir())
	name, _ := reg.push(t, "app:1", newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "x") }).image)
	sent := 0
	reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if _, _, given := r.BasicAuth(); given {
			sent++
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	_, err := fetch(t, name, guestpull.Options{AuthFile: authConfig(t, map[string]any{"auths": map[string]any{reg.host: basic("me", "wrong-password")}})})
	require.ErrorIs(t, err, guestpull.ErrUnauthorized)
	require.Equal(t, 1, sent)
	e := new(storage.Error)
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Hint, "not accepted")
	require.NotContains(t, err.Error()+e.Hint, "wrong-password")
}

// tokenService gives tokens for what it is shown: ask returns it, "" refuses.
func tokenService(t testing.TB, reg *testRegistry, ask func(r *http.Request) string) {
	t.Helper()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := ask(r); token != "" {
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":60}`, token)
			return
		}
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	t.Cleanup(tokens.Close)
	reg.serve(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer good") {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test"`, tokens.URL))
			w.WriteHeader(http.StatusUnauthorized)
		})
	})
}

// Token services as they are: for passwords by either form, for identity tokens,
// and with tokens that end in the middle of a pull.
func TestTokens(t *testing.T) {
	me, refresh := basic("me", "pass:word"), map[string]string{"identitytoken": "refresh"}
	byPassword := func(r *http.Request) string {
		if user, password, _ := r.BasicAuth(); r.Method == http.MethodGet && user == "me" && password == "pass:word" && r.FormValue("scope") == "repository:app:pull" {
			return "good"
		}
		return ""
	}
	asked := 0
	for name, c := range map[string]struct {
		entry any
		ask   func(r *http.Request) string
	}{
		"password":       {me, byPassword},
		"registry token": {map[string]string{"registrytoken": "good"}, func(*http.Request) string { return "" }},
		"password, only by POST": {me, func(r *http.Request) string {
			if r.Method == http.MethodPost && r.FormValue("grant_type") == "password" && r.FormValue("username") == "me" && r.FormValue("password") == "pass:word" {
				return "good"
			}
			return ""
		}},
		"identity": {refresh, func(r *http.Request) string {
			if r.Method == http.MethodPost && r.FormValue("grant_type") == "refresh_token" && r.FormValue("refresh_token") == "refresh" && r.FormValue("scope") == "repository:app:pull" {
				return "good"
			}
			return ""
		}},
		"ending": {me, func(r *http.Request) string {
			if asked++; asked == 1 {
				return "worn out"
			}
			return byPassword(r)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			reg := newRegistry(t, t.TempDir())
			image, d := reg.push(t, "app:1", newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "x") }).image)
			tokenService(t, reg, c.ask)
			got, err := fetch(t, image, guestpull.Options{AuthFile: authConfig(t, map[string]any{"auths": map[string]any{reg.host: c.entry}})})
			require.NoError(t, err)
			require.Equal(t, d, got.Digest)
			_, err = fetch(t, image, guestpull.Options{AuthFile: auths(t, reg.host)})
			require.ErrorIs(t, err, guestpull.ErrUnauthorized)
		})
	}
}

// Credentials are for the registry alone: where it leads to, and another port of its
// machine, see none of them.
func TestCredentialsStayAtHome(t *testing.T) {
	for _, which := range []func(*http.Request) bool{isBlob, isManifest} {
		reg := newRegistry(t, t.TempDir())
		name, d := reg.push(t, "app:1", newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "x") }).image)
		p := &published{publisher: &publisher{t: t, reg: reg}, started: map[string]int{}}
		reg.serve(func(next http.Handler) http.Handler {
			return leading(which, http.StatusTemporaryRedirect, func(_ http.ResponseWriter, r *http.Request) bool {
				require.Empty(t, r.Header.Get("Authorization"))
				return false
			})(p, next)
		})
		asUser(t, reg, "me:x")
		got, err := fetch(t, name, guestpull.Options{AuthFile: authConfig(t, map[string]any{"auths": map[string]any{reg.host: basic("me", "x")}})})
		require.NoError(t, err)
		require.Equal(t, d, got.Digest)
	}
}

// A token service that leads elsewhere is not followed with a password.
func TestTokenServiceLeadsElsewhere(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		t.Errorf("%v %s", r.Header, text)
	}))
	t.Cleanup(other.Close)
	reg := newRegistry(t, t.TempDir())
	name, _ := reg.push(t, "app:1", newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "x") }).image)
	tokens := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(tokens.Close)
	reg.answers(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token"`, tokens.URL))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	for _, entry := range []map[string]string{basic("me", "x"), {"identitytoken": "refresh"}} {
		_, err := fetch(t, name, guestpull.Options{AuthFile: authConfig(t, map[string]any{"auths": map[string]any{reg.host: entry}})})
		require.ErrorContains(t, err, "its token service leads elsewhere")
	}
}

// helperOnPath installs a credential helper that tells what it was run for.
func helperOnPath(t *testing.T, name string) (ran string) {
	t.Helper()
	dir := t.TempDir()
	ran = filepath.Join(dir, "ran")
	script := "#!/bin/sh\nread server\necho \"$1 $server\" >>" + ran + "\necho '{\"ServerURL\":\"x\",\"Username\":\"me\",\"Secret\":\"of a helper\"}'\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(script), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return ran
}

// A helper is run when the file names it for the image and the caller names it, too.
func TestCredentialHelpers(t *testing.T) {
	ran := helperOnPath(t, "test")
	for _, c := range []struct {
		file   map[string]any
		allow  []string
		image  string
		want   string
		server string
		hint   string
	}{
		{file: map[string]any{"credHelpers": map[string]string{"r.example": "test"}}, image: "r.example/app", hint: `names the credential helper "test"`},
		{file: map[string]any{"credsStore": "test"}, image: "r.example/app", allow: []string{"other"}, hint: `names the credential helper "test"`},
		{file: map[string]any{"credHelpers": map[string]string{"r.example": "../test"}}, image: "r.example/app", allow: []string{"../test"}, hint: "names the credential helper"},
		{file: map[string]any{"credHelpers": map[string]string{"r.example": "test"}}, image: "r.example/app", allow: []string{"test"}, want: "me:of a helper", server: "r.example"},
		{file: map[string]any{"credHelpers": map[string]string{"s.example": "test"}}, image: "r.example/app", allow: []string{"test"}},
		{file: map[string]any{"credsStore": "test", "auths": map[string]any{"r.example": map[string]any{}}}, image: "r.example/app", allow: []string{"test"}, want: "me:of a helper", server: "r.example"},
		{file: map[string]any{"credsStore": "test"}, image: "busybox", allow: []string{"test"}, want: "me:of a helper", server: "https://index.docker.io/v1/"},
		{file: map[string]any{"credHelpers": map[string]string{"r.example": "test"}, "auths": map[string]any{"r.example/team": basic("team", "x")}}, image: "r.example/team/app", allow: []string{"test"}, want: "team:x"},
		{file: map[string]any{"credHelpers": map[string]string{"r.example/team": "test"}, "auths": map[string]any{"r.example": basic("all", "x")}}, image: "r.example/team/app", allow: []string{"test"}, want: "me:of a helper", server: "r.example/team"},
		{file: map[string]any{"credHelpers": map[string]string{"r.example": "test"}, "auths": map[string]any{"r.example": basic("all", "x")}}, image: "r.example/app", want: "all:x", hint: "names the credential helper"},
	} {
		got, hint, err := guestpull.CredentialOf(t.Context(), c.image, guestpull.Options{AuthFile: authConfig(t, c.file), CredentialHelpers: c.allow})
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%v", c.file)
		require.Contains(t, hint, c.hint)
		if c.server == "" {
			require.NoFileExists(t, ran)
			continue
		}
		text, err := os.ReadFile(ran)
		require.NoError(t, err)
		require.Equal(t, "get "+c.server+"\n", string(text))
		require.NoError(t, os.Remove(ran))
	}
	file := authConfig(t, map[string]any{"credsStore": "nobody-has-it"})
	_, _, err := guestpull.CredentialOf(t.Context(), "r.example/app", guestpull.Options{AuthFile: file, CredentialHelpers: []string{"nobody-has-it"}})
	require.ErrorIs(t, err, guestpull.ErrUnauthorized)
	require.ErrorContains(t, err, "docker-credential-nobody-has-it")
}

// Two teams, one registry, and a whole pull.
func TestPullWithCredentials(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	name, d := reg.push(t, "team-b/app:1", newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "x") }).image)
	asUser(t, reg, "b:x")
	file := authConfig(t, map[string]any{"auths": map[string]any{reg.host + "/team-a": basic("a", "x"), reg.host + "/team-b": basic("b", "x")}})
	images := guestpull.New(newTmpfs(t, "size=16m"), guestpull.Options{AuthFile: file})
	for range 10 {
		got, err := images.Pull(context.Background(), name, guestpull.PullOptions{})
		require.NoError(t, err)
		require.Equal(t, d, got.Digest)
	}
}
