package guestpull

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// maxProblem bounds what is read of an answer that says why not, in bytes.
const maxProblem = 8 << 10

// discard gives the connection of an answer that is not needed back, if little is
// left of it.
func discard(answer *http.Response) {
	_, _ = io.CopyN(io.Discard, answer.Body, maxProblem) // the answer is not needed
	answer.Body.Close()
}

// refused makes an error of an answer other than success. What the registry says
// in it is repeated, what others say, where it led, is not.
func (r *registry) refused(answer *http.Response) error {
	defer answer.Body.Close()
	said := ""
	if !r.led(answer) {
		said = problem(answer.Body)
	}
	where := "GET " + address(answer.Request.URL)
	switch code := answer.StatusCode; code {
	case http.StatusNotFound:
		return refuse(ErrNoSuchImage, "", "%s: not found", where)
	case http.StatusUnauthorized, http.StatusForbidden:
		return refuse(ErrUnauthorized, r.tokens.credentials.hint(), "%s: %d %s%s", where, code, http.StatusText(code), said)
	default:
		return refuse(ErrRegistry, retryHint(answer), "%s: %d %s%s", where, code, http.StatusText(code), said)
	}
}

func retryHint(answer *http.Response) string {
	if wait := retryAfter(answer); wait > 0 {
		return "try again in " + wait.String() + ", as the registry asks"
	}
	return "try again"
}

// problem is what a registry says of an error. Source: OCI distribution
// specification, "Error Codes".
func problem(body io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(body, maxProblem)) // what came is better than nothing
	var list struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(text, &list) != nil || len(list.Errors) == 0 {
		return ""
	}
	first := list.Errors[0]
	return ": " + quote(strings.TrimPrefix(first.Code+": "+first.Message, ": "))
}
