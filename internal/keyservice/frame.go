package keyservice

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// A ttrpc frame has 10 bytes before its message: the message's length, the stream's
// number, the type and flags. The library's own client is not used for keys: it
// leaves copies of what it receives in buffers that nobody can wipe.
const (
	frameHeader  = 10
	frameStream  = 1
	typeRequest  = 1
	typeResponse = 2
	maxFrame     = 4 << 20
)

// call makes one call on a socket and returns the response as it came, in
// locked memory; see secretOf.
func call(ctx context.Context, socket, service, method string, request proto.Message) (*secret.Bytes, error) {
	frame, err := RequestFrame(service, method, request)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(frame); err != nil {
		return nil, endedOr(ctx, err)
	}
	response, err := readResponse(conn)
	return response, endedOr(ctx, err)
}

// endedOr names the end of the context where it is the reason for a connection's
// error.
func endedOr(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// RequestFrame is one call, as it goes over the socket.
func RequestFrame(service, method string, request proto.Message) ([]byte, error) {
	payload, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	message, err := proto.Marshal(&ttrpc.Request{Service: service, Method: method, Payload: payload})
	if err != nil {
		return nil, err
	}
	if len(message) > maxFrame {
		return nil, fmt.Errorf("a request of %d bytes: %d are the most", len(message), maxFrame)
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(message)))
	frame = binary.BigEndian.AppendUint32(frame, frameStream)
	return append(append(frame, typeRequest, 0), message...), nil
}

func readResponse(r io.Reader) (*secret.Bytes, error) {
	header := make([]byte, frameHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	length, stream := binary.BigEndian.Uint32(header), binary.BigEndian.Uint32(header[4:])
	if stream != frameStream || header[8] != typeResponse || length > maxFrame {
		return nil, fmt.Errorf("a frame of type %d, stream %d, %d bytes instead of the response", header[8], stream, length)
	}
	message, err := secret.ReadAll(io.LimitReader(r, int64(length)), maxFrame)
	if err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	if message.Len() != int(length) {
		message.Wipe()
		return nil, fmt.Errorf("read the response: %w", io.ErrUnexpectedEOF)
	}
	return message, nil
}

// secretOf returns the bytes of field 1 of the message that a response carries, as
// a part of it, or the error that it carries.
func secretOf(response []byte) ([]byte, error) {
	const statusField, payloadField, secretField = 1, 2, 1
	if text, given, err := bytesField(response, statusField); err != nil || given {
		if err == nil {
			err = statusError(text)
		}
		if err != nil {
			return nil, err
		}
	}
	payload, _, err := bytesField(response, payloadField)
	if err != nil {
		return nil, err
	}
	value, _, err := bytesField(payload, secretField)
	return value, err
}

// statusError is nil for the status "OK".
func statusError(text []byte) error {
	const codeField, messageField = 1, 2
	code := uint64(0)
	err := eachField(text, func(number protowire.Number, kind protowire.Type, value []byte) {
		if number == codeField && kind == protowire.VarintType {
			code, _ = protowire.ConsumeVarint(value)
		}
	})
	message, _, messageErr := bytesField(text, messageField)
	if err = errors.Join(err, messageErr); err != nil || code == 0 {
		return err
	}
	return status.Error(codes.Code(code), string(message))
}

// bytesField returns the last field of that number that is a string, bytes or a
// message.
func bytesField(message []byte, wanted protowire.Number) (found []byte, given bool, err error) {
	err = eachField(message, func(number protowire.Number, kind protowire.Type, value []byte) {
		if number == wanted && kind == protowire.BytesType {
			found, _ = protowire.ConsumeBytes(value)
			given = true
		}
	})
	return found, given, err
}

// eachField calls use with each field of a message, which it does not copy.
func eachField(message []byte, use func(number protowire.Number, kind protowire.Type, value []byte)) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return fmt.Errorf("malformed response: %w", protowire.ParseError(n))
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return fmt.Errorf("malformed response: %w", protowire.ParseError(n))
		}
		use(number, kind, message[:n])
		message = message[n:]
	}
	return nil
}
