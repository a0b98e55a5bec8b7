package guestpull

import (
	"log/slog"
	"time"
)

// Options are the options of [New]. The zero value pulls anonymously, for
// this machine's platform, over TLS.
type Options struct {
	// AuthFile has the credentials: a docker config (config.json) or containers'
	// auth.json, at a path, as file://PATH, or as a resource of the guest's key
	// service, kbs:///REPOSITORY/TYPE/TAG, which is asked when a registry wants
	// credentials. The entry for the smallest part of the registry that the image
	// is in counts. Empty: anonymous.
	AuthFile string
	// KeyService is the socket of the guest's GetResourceService, for what is named
	// kbs://…, and of its KeyProviderService, for layers that are encrypted (ocicrypt)
	// with a key provider. Empty: there is none.
	KeyService string
	// CredentialHelpers are those of the helpers that AuthFile names, without
	// docker-credential- before it, that may be run. Nil: none.
	CredentialHelpers []string
	// AnonymousFallback asks without credentials when those of AuthFile are refused.
	AnonymousFallback bool
	// Registries is a registries.conf of version 2: mirrors, other locations, and
	// what is blocked. Where it says insecure, the registry's certificate is not
	// looked at, and without TLS it is asked over plain http.
	Registries Source
	// CertDir has, as containers' certs.d, a directory for each HOST or HOST:PORT:
	// *.crt are roots to trust for that registry and where it leads to; NAME.cert and
	// NAME.key are shown to that registry alone. Empty: none.
	CertDir string
	// RootCertificates, PEM, are trusted beside the system's, which SSL_CERT_FILE and
	// SSL_CERT_DIR name.
	RootCertificates []string
	// Proxy is used in place of HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Nil: those.
	Proxy *Proxy
	// Policy is containers' policy.json: which images may be pulled, and by whose
	// keys they must be signed. It and signatures are verified before any layer is
	// asked for. Its keys are at a path, file://PATH or kbs:///…. None: every image
	// may be pulled.
	Policy Source
	// Signatures says where simple signatures are, as a file of containers'
	// registries.d does. Those of cosign are in the registry.
	Signatures Source
	// PlainHTTP allows http without TLS to any registry. Without it only a
	// registry on a loopback address is spoken to so.
	PlainHTTP bool
	// Platform is as "linux/arm64/v8"; what else runs there is taken where there
	// is nothing better. Empty: this machine's.
	Platform string
	// IdleTimeout is how long a registry may be silent, and half of what it may
	// take for one manifest. 0: 30 seconds.
	IdleTimeout time.Duration
	// MaxBytes bounds what the layers of one image take on the store, in blocks of
	// 4096 bytes, with the directories around them. It bounds entries (65536 and one
	// for each KiB) and headers of archives (16 MiB and half of it), too. 0: what the
	// store can hold, once it has grown to its device.
	MaxBytes uint64
	// ParallelLayers is how many layers of one image are pulled at a time, each in up
	// to 16 MiB of memory. 0: 3.
	ParallelLayers int
	// Logger gets warnings, and what was done at level Debug. Nil: no log.
	Logger *slog.Logger
	// Pulled is told of each pull that ended: how long it took, how many bytes of
	// layers came for it from a registry, as they are there, and the error. Nil: nobody.
	// It is called from several goroutines at once and must not block.
	Pulled func(took time.Duration, received uint64, err error)
}

// PullOptions are the options of [Images.Pull].
type PullOptions struct {
	// Bundle, when set, is the directory in which the image is mounted at
	// rootfs; an absolute path.
	Bundle string
	// Progress is told how far each layer is. Nil: nobody. It is called from
	// several goroutines at once and must not block.
	Progress func(Progress)
}

// LayerState says what is done with a layer.
type LayerState string

// The states of a layer, in this order.
const (
	LayerPulling  LayerState = "pulling"
	LayerDone     LayerState = "done"
	LayerExisting LayerState = "exists" // on the store already, or being pulled for another image
)

// Progress is one report of how far one layer is.
type Progress struct {
	Number, Of  int    // counted from 1, the lowest first
	Digest      string // of the compressed layer
	State       LayerState
	Done, Total int64 // compressed bytes
}

const (
	defaultIdle = 30 * time.Second
	// defaultParallel is how many layers of one image are pulled at a time.
	defaultParallel = 3
	// maxMetadata bounds a manifest, an index and a config, in bytes.
	maxMetadata = 4 << 20
	// maxLayers is what the kernel's overlay takes.
	maxLayers = 500
	// maxWindow bounds the memory that a zstd layer may ask for.
	maxWindow = 8 << 20
)

func (o *Options) setDefaults() {
	if o.IdleTimeout == 0 {
		o.IdleTimeout = defaultIdle
	}
	if o.ParallelLayers <= 0 {
		o.ParallelLayers = defaultParallel
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func (o *PullOptions) setDefaults() {
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
}
