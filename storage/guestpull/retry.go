package guestpull

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/registry/remote/retry"
)

const (
	// maxRetries is how often a busy registry is asked again.
	maxRetries = 4
	// maxPause is the longest that is waited in between, also when the registry
	// asks for more: agents wait a minute or two for a pull.
	maxPause = 5 * time.Second
)

// patience asks again when a registry says that it is busy, or hangs up without an
// answer.
func patience() retry.Policy {
	return &retry.GenericPolicy{Retryable: busy, Backoff: pause, MinWait: 200 * time.Millisecond, MaxWait: maxPause, MaxRetry: maxRetries}
}

func busy(answer *http.Response, err error) (bool, error) {
	if err != nil {
		hungUp := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET)
		return hungUp, nil
	}
	switch answer.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true, nil
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false, nil
	}
	return answer.StatusCode >= http.StatusInternalServerError, nil
}

// pause is what the registry asks for, or twice as long as the time before.
func pause(attempt int, answer *http.Response) time.Duration {
	if answer != nil {
		if wait := retryAfter(answer); wait > 0 {
			return wait
		}
	}
	return retry.DefaultBackoff(attempt, nil)
}

// retryAfter reads a number of seconds, or a time. Source: RFC 9110, 10.2.3.
func retryAfter(answer *http.Response) time.Duration {
	text := answer.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return time.Until(at)
	}
	return 0
}
