package keyservice

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/containerd/ttrpc"
	"github.com/stretchr/testify/require"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

func response(t testing.TB, s *spb.Status, payload proto.Message) []byte {
	t.Helper()
	inner, err := proto.Marshal(payload)
	require.NoError(t, err)
	outer, err := proto.Marshal(&ttrpc.Response{Status: s, Payload: inner})
	require.NoError(t, err)
	return outer
}

func TestSecretOf(t *testing.T) {
	key := []byte("a key\x00\xff")
	for _, message := range [][]byte{
		response(t, nil, &cdh.GetResourceResponse{Resource: key}),
		response(t, &spb.Status{}, &cdh.UnsealSecretOutput{Plaintext: key}),
	} {
		got, err := secretOf(message)
		require.NoError(t, err)
		require.Equal(t, key, got)
		clear(got)
		require.NotContains(t, string(message), string(key), "a part of the response, no copy")
	}
	_, err := secretOf(response(t, &spb.Status{Code: int32(codes.NotFound), Message: "no such key"}, &cdh.GetResourceResponse{Resource: key}))
	require.Equal(t, codes.NotFound, status.Code(err))
	require.ErrorContains(t, err, "no such key")
	got, err := secretOf(nil)
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestReadResponse(t *testing.T) {
	frame := func(length, stream uint32, kind byte, message string) io.Reader {
		b := binary.BigEndian.AppendUint32(nil, length)
		b = append(binary.BigEndian.AppendUint32(b, stream), kind, 0)
		return bytes.NewReader(append(b, message...))
	}
	got, err := readResponse(frame(3, 1, typeResponse, "abcd"))
	require.NoError(t, err)
	require.Equal(t, "abc", string(got.Bytes()))
	got.Wipe()
	for _, bad := range []io.Reader{
		frame(3, 1, typeResponse, "ab"), frame(3, 3, typeResponse, "abc"), frame(3, 1, typeRequest, "abc"),
		frame(maxFrame+1, 1, typeResponse, "abc"), frame(1<<32-1, 1, typeResponse, "abc"), bytes.NewReader([]byte("short")),
	} {
		_, err := readResponse(bad)
		require.Error(t, err)
	}
}

// What is accepted of a response is what protobuf's own decoder finds in it.
func FuzzSecretOf(f *testing.F) {
	f.Add(response(f, nil, &cdh.GetResourceResponse{Resource: []byte("key")}))
	f.Add(response(f, &spb.Status{Code: 5, Message: "no"}, &cdh.GetResourceResponse{}))
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := secretOf(bytes.Clone(message))
		var outer ttrpc.Response
		var inner cdh.GetResourceResponse
		if err != nil || proto.Unmarshal(message, &outer) != nil || proto.Unmarshal(outer.Payload, &inner) != nil {
			return
		}
		require.Zero(t, outer.GetStatus().GetCode())
		require.True(t, bytes.Equal(inner.Resource, got))
	})
}
