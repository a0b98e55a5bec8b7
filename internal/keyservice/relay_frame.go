package keyservice

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	typeData         = 3
	flagRemoteClosed = 1
)

// frame is a whole one, with its header.
type frame []byte

func (f frame) length() uint32 { return binary.BigEndian.Uint32(f) }
func (f frame) stream() uint32 { return binary.BigEndian.Uint32(f[4:]) }
func (f frame) kind() byte     { return f[8] }

// isLast reports whether a server sends nothing more on the stream.
func (f frame) isLast() bool {
	return f.kind() == typeResponse || f.kind() == typeData && f[9]&flagRemoteClosed != 0
}

var errTooLong = errors.New("too long a message")

// readFrame reads the next frame, of one with errTooLong the header only.
func readFrame(r io.Reader) (frame, error) {
	header := make(frame, frameHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	if header.length() > maxFrame {
		if _, err := io.CopyN(io.Discard, r, int64(header.length())); err != nil {
			return nil, err
		}
		return header, errTooLong
	}
	f := make(frame, frameHeader+int(header.length()))
	copy(f, header)
	_, err := io.ReadFull(r, f[frameHeader:])
	return f, err
}

// request returns what of a request is needed to pass it on; no timeout is 0.
func (f frame) request() (service string, timeout time.Duration, err error) {
	const serviceField, timeoutField = 1, 4
	err = eachField(f[frameHeader:], func(number protowire.Number, kind protowire.Type, value []byte) {
		switch {
		case number == serviceField && kind == protowire.BytesType:
			text, _ := protowire.ConsumeBytes(value)
			service = string(text)
		case number == timeoutField && kind == protowire.VarintType:
			nanoseconds, _ := protowire.ConsumeVarint(value)
			timeout = time.Duration(nanoseconds)
		}
	})
	return service, timeout, err
}

// statusFrame ends a stream with an error.
func statusFrame(stream uint32, code codes.Code, format string, args ...any) frame {
	// Valid text and numbers can always be marshalled.
	text := strings.ToValidUTF8(fmt.Sprintf(format, args...), "?")
	message, _ := proto.Marshal(&ttrpc.Response{Status: status.New(code, text).Proto()})
	f := binary.BigEndian.AppendUint32(nil, uint32(len(message)))
	f = binary.BigEndian.AppendUint32(f, stream)
	return append(append(f, typeResponse, 0), message...)
}
