package securemount

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage"
)

// statuses maps errors to what a client sees; the first match wins. Everything else
// is codes.Internal.
var statuses = []struct {
	err  error
	code codes.Code
}{
	{context.Canceled, codes.Canceled},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
	{storage.ErrInvalid, codes.InvalidArgument},
	{storage.ErrPermission, codes.FailedPrecondition},
	{storage.ErrHeaderRejected, codes.FailedPrecondition},
	{storage.ErrWrongKey, codes.PermissionDenied},
	{storage.ErrIntegrity, codes.DataLoss},
	{storage.ErrBusy, codes.Unavailable},
	{storage.ErrNotBlank, codes.FailedPrecondition},
	{storage.ErrUnsuitable, codes.FailedPrecondition},
	{storage.ErrNotSupported, codes.FailedPrecondition},
	{storage.ErrNotFound, codes.NotFound},
}

// statusOf makes of an error what goes to the client: a code to decide on, and the
// whole text, with what can be done about it.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	var e *storage.Error
	if errors.As(err, &e) && e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return status.Error(codeOf(err), text)
}

func codeOf(err error) codes.Code {
	var invalid *InvalidRequestError
	var conflict *ConflictError
	var key *KeyError
	var policy *PolicyError
	var gone *GoneError
	switch {
	case errors.As(err, &policy):
		return codes.PermissionDenied
	case errors.As(err, &gone):
		return codes.FailedPrecondition
	case errors.As(err, &invalid):
		return codes.InvalidArgument
	case errors.As(err, &conflict):
		return codes.AlreadyExists
	case errors.As(err, &key) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		return codes.Unavailable
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.code
		}
	}
	return codes.Internal
}
