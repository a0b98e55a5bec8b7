package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// mostText is what an error may have, in bytes, with all that is around it.
const mostText = 2048

// hostileTexts are what a terminal would obey, what breaks lines, and what is long.
var hostileTexts = []string{
	"\x1b[2J\x1b]0;title\a\x1b]52;c;Y2xpcA==\a", "a\r\n\x08\x7f\u009b31m", "\u202egnp.exe\u2066", "\xff\xfe\xc0", strings.Repeat("\x1b[31m", 600_000), strings.Repeat("ä", 1_500_000),
}

// hostileAnswers are a registry's, with somebody's text in one place after the other.
var hostileAnswers = map[string]func(text string) http.HandlerFunc{
	"an error's message": func(text string) http.HandlerFunc { // of a status that nobody asks again for
		return answers(http.StatusNotImplemented, errorOf("UNKNOWN", text), nil)
	},
	"an error's code":       func(text string) http.HandlerFunc { return answers(http.StatusForbidden, errorOf(text, "no"), nil) },
	"a missing image's":     func(text string) http.HandlerFunc { return answers(http.StatusNotFound, errorOf(text, text), nil) },
	"an unauthorized one's": func(text string) http.HandlerFunc { return answers(http.StatusUnauthorized, errorOf(text, text), nil) },
	"no JSON":               func(text string) http.HandlerFunc { return answers(http.StatusTeapot, text, nil) },
	"a manifest":            func(text string) http.HandlerFunc { return answers(http.StatusOK, text, nil) },
	"a manifest's type": func(text string) http.HandlerFunc {
		return answers(http.StatusOK, encode(map[string]any{"mediaType": text, "manifests": []any{}}), nil)
	},
	"a manifest's member": func(text string) http.HandlerFunc {
		name := encode(text)
		return answers(http.StatusOK, "{"+name+":1,"+name+":1}", nil)
	},
	"a config's digest": func(text string) http.HandlerFunc {
		return answers(http.StatusOK, encode(map[string]any{"config": map[string]any{"digest": text}, "layers": []any{}}), nil)
	},
	"a list's platforms": func(text string) http.HandlerFunc {
		part := text[:min(len(text), 1000)]
		entry := map[string]any{"digest": digest.FromString("x"), "size": 1, "platform": map[string]any{"os": part, "architecture": part, "variant": part}}
		return answers(http.StatusOK, encode(map[string]any{"manifests": []any{entry, entry}}), nil)
	},
	"a layer's type":    func(text string) http.HandlerFunc { return image(text, digest.FromString("x").String()) },
	"a layer's digest":  func(text string) http.HandlerFunc { return image("application/vnd.oci.image.layer.v1.tar", text) },
	"where it leads":    func(text string) http.HandlerFunc { return raw("302 Found", "Location", "http://192.0.2.1/"+text) },
	"a status":          func(text string) http.HandlerFunc { return raw("418 "+text, "X", "x") },
	"no status":         func(text string) http.HandlerFunc { return raw(text, "X", "x") },
	"a digest's header": func(text string) http.HandlerFunc { return raw("200 OK", "Docker-Content-Digest", text) },
	"an encoding":       func(text string) http.HandlerFunc { return raw("200 OK", "Content-Encoding", text) },
	"a token's realm": func(text string) http.HandlerFunc {
		return raw("401 No", "WWW-Authenticate", `Bearer realm="http://192.0.2.1/`+text+`"`)
	},
	"a way to authorize":  func(text string) http.HandlerFunc { return raw("401 No", "WWW-Authenticate", text) },
	"a header's own name": func(text string) http.HandlerFunc { return raw("200 OK", text, "x") },
}

func answers(status int, body string, header map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for key, value := range header {
			w.Header().Set(key, value)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // who asked may have enough
	}
}

func errorOf(code, message string) string {
	return encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// image answers for all of an image of one layer.
func image(mediaType, layer string) http.HandlerFunc {
	config := encode(map[string]any{"os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest.FromString("x").String()}}})
	manifest := encode(map[string]any{"config": map[string]any{"digest": digest.FromString(config), "size": len(config)},
		"layers": []any{map[string]any{"mediaType": mediaType, "digest": layer, "size": 1}}})
	return func(w http.ResponseWriter, r *http.Request) {
		text := manifest
		if strings.Contains(r.URL.Path, "/blobs/") {
			text = config
		}
		answers(http.StatusOK, text, nil)(w, r)
	}
}

// raw answers with a status and a header as no well-meant server writes them.
func raw(status, key, value string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\n%s: %s\r\nContent-Length: 0\r\n\r\n", status, key, value)
	}
}

// Whatever a registry writes, and wherever, no terminal obeys it and nobody has to
// read much of it: from the command, with --json, too, and over ttrpc.
func TestTextOfARegistry(t *testing.T) {
	kernel(t)
	store := t.TempDir()
	p := launch(t, newSocket(t), "--store", store)
	pull := cdh.NewImagePullServiceClient(p.client(t))
	for where, answer := range hostileAnswers {
		for i, text := range hostileTexts {
			t.Run(fmt.Sprint(where, " ", i), func(t *testing.T) {
				server := httptest.NewServer(answer(text))
				defer server.Close()
				name := strings.TrimPrefix(server.URL, "http://") + "/app:1"
				for _, flags := range [][]string{nil, {"--json"}} {
					status, out, errOut := guestCommand(t.Context(), append(flags, "pull", name, "--store", t.TempDir())...)
					require.NotEqual(t, cli.ExitDone, status)
					requireFit(t, out)
					requireFit(t, errOut)
				}
				_, err := pull.PullImage(t.Context(), &cdh.ImagePullRequest{ImageUrl: name, BundlePath: filepath.Join(t.TempDir(), "bundle")})
				require.Error(t, err)
				requireFit(t, err.Error())
			})
		}
	}
	require.NoError(t, p.Process.Kill())
	require.Equal(t, -1, p.end())
	for line := range strings.Lines(p.stderr.String()) {
		requireFit(t, line)
	}
}

func requireFit(t *testing.T, text string) {
	t.Helper()
	require.LessOrEqual(t, len(text), mostText, "%.3000q", text)
	require.True(t, utf8.ValidString(text), "%q", text)
	require.False(t, strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }), "%q", text)
}
