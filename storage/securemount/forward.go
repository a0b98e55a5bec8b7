package securemount

import (
	"log/slog"
	"net"

	"github.com/trusted-store/trusted-store/internal/keyservice"
)

// Forward lets a server stand on a socket whose clients look for more services than
// it has, as a guest's agent does: what is asked of services that are not in ours
// goes to the server on the Unix socket upstream, and its answers come back, as they
// are: streams, deadlines, metadata, errors. Give what it returns to [Serve].
//
//	l = securemount.Forward(l, upstream, log, "api.SecureMountService", "trustedstore.v1.Stores")
//
// While nobody answers at upstream these requests fail with Unavailable, and what is
// asked of ours goes on. No byte of an answer stays in this process. Where upstream is
// empty they fail with Unimplemented. log may be nil.
func Forward(l net.Listener, upstream string, log *slog.Logger, ours ...string) net.Listener {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	relay := &keyservice.Relay{Upstream: upstream, Ours: map[string]bool{}, Log: log}
	for _, service := range ours {
		relay.Ours[service] = true
	}
	return relay.Listen(l)
}
