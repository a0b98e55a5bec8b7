package guestpull

import (
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// encodingOf is how an answer is compressed for the transport, "" when it is not.
// None is asked for, but some servers do it anyway, and others say so of a layer
// that is compressed itself.
func encodingOf(answer *http.Response) string {
	encoding := strings.ToLower(strings.TrimSpace(answer.Header.Get("Content-Encoding")))
	if encoding == "identity" {
		return ""
	}
	return encoding
}

// decode takes the compression of the transport off.
func decode(encoding string, body io.Reader) (content io.Reader, err error) {
	switch encoding {
	case "":
		return body, nil
	case "gzip", "x-gzip":
		content, err = gzip.NewReader(body)
	case "deflate":
		content = flate.NewReader(body)
	case "zstd":
		content, err = zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	default:
		return nil, refuse(ErrRegistry, "", "its answer is encoded as %s, which was not asked for", quote(encoding))
	}
	if err != nil && kindOf(err) == nil {
		err = refuse(ErrRegistry, "", "its answer is not encoded as %s, as it says", encoding)
	}
	return content, err
}
