package securemount

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/ttrpc"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

// DefaultMinSize is the size in bytes up to which a store has all of it when
// SecureMount returns. With [Options.GrowFull] it is how much of a larger one is
// usable then: more than most images need while the rest grows.
const DefaultMinSize = 4 << 30

// Options are the options of a [Server]. The zero value is right for keys that
// are random or in files.
type Options struct {
	// Logger gets one line for each store that is made, found or taken away,
	// and warnings. Nil: no log.
	Logger *slog.Logger
	// MinSize is how many bytes a filesystem has, at the least, when SecureMount
	// returns: these, or its full size where that is less. 0: its full size where
	// that is DefaultMinSize or less, of a larger one what takes little metadata.
	MinSize uint64
	// GrowFull grows every store to its full size, behind the reply. Without it one
	// whose full size is more than DefaultMinSize grows only as it fills
	// ([storage.GrowAsUsed]): its device may be as large as the host's whole
	// filesystem, and sparse.
	GrowFull bool
	// Upstream is the socket of the GetResourceService, for keys "kbs://…", and
	// of the SealedSecretService, for "sealed.…". Empty: such keys are refused.
	Upstream string
	// Policy limits what requests may ask for.
	Policy Policy
	// SetUp is told of each store that was formatted or opened, or was to be: how
	// long that took, without waiting for its size, and the error. Nil: nobody. It is
	// called from several goroutines at once and must not block.
	SetUp func(formatted bool, took time.Duration, err error)
	// IntegrityError is told of blocks that could not be authenticated. Nil: nobody.
	IntegrityError func(storage.IntegrityEvent)
	// Version is what Health tells.
	Version string
}

// Server makes stores for the agent of a guest and looks after them. It implements
// both services, and may be used by many callers at once.
type Server struct {
	opts      Options
	log       *slog.Logger
	locks     locks
	growers   growers
	mounting  atomic.Int32
	integrity integrityEvents
	sweeps    sync.WaitGroup
	open      context.Context // until Close
	shut      context.CancelFunc

	carriedOut carriedOut

	mu    sync.Mutex
	links map[string]string // of stores of TargetDevice: the link, by name
}

var (
	_ cdh.SecureMountServiceService = (*Server)(nil)
	_ stores.StoresService          = (*Server)(nil)
)

// New returns a server that does nothing yet. Call [Server.Adopt] before it takes
// requests, and [Server.Close] at the end.
func New(opts Options) *Server {
	if opts.MinSize == 0 && opts.GrowFull {
		opts.MinSize = DefaultMinSize
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	open, shut := context.WithCancel(context.Background())
	return &Server{
		opts: opts, log: log, growers: growers{log: log, full: opts.GrowFull}, open: open, shut: shut, links: map[string]string{},
	}
}

// Register adds both services to a ttrpc server.
func (s *Server) Register(t *ttrpc.Server) {
	cdh.RegisterSecureMountServiceService(t, s)
	stores.RegisterStoresService(t, s)
}

// Close stops growing, which takes no longer than one step, taking away and watching. The
// stores stay as they are: another Server adopts them.
func (s *Server) Close() {
	s.shut()
	s.growers.close()
	s.sweeps.Wait()
}

func (s *Server) setLink(name, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[name] = path
}

func (s *Server) linkOf(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links[name]
}

func (s *Server) dropLink(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, name)
}
