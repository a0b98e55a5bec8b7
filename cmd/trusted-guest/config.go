package main

import (
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// registryFlags are those of verbs that speak to a registry.
type registryFlags struct {
	opts       guestpull.Options
	config     string
	registries string
	policy     string
	signatures string
}

func (f *registryFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.config, "config", "", "cdh.toml `FILE` whose section [image] counts where no flag says otherwise")
	flags.StringVar(&f.opts.AuthFile, "auth", "", "docker config or containers' auth.json `FILE` with credentials, or a resource kbs:///… of the guest's key service")
	flags.StringArrayVar(&f.opts.CredentialHelpers, "credential-helper", nil, "run docker-credential-`NAME` where that file names it; may be given more than once")
	flags.StringVar(&f.registries, "registries-conf", "", "registries.conf `FILE` (version 2) with mirrors, or a resource kbs:///…")
	flags.StringVar(&f.policy, "policy", "", "containers' policy.json `FILE`, or a resource kbs:///…: which images are allowed, and whose signatures they need")
	flags.StringVar(&f.signatures, "signatures", "", "`FILE` as of containers' registries.d, or a resource kbs:///…: where simple signatures are")
	flags.StringVar(&f.opts.CertDir, "cert-dir", "", "`DIR` of certificates as containers' certs.d: HOST:PORT/*.crt to trust, *.cert with *.key to show")
	flags.BoolVar(&f.opts.PlainHTTP, "plain-http", false, "speak http without TLS, also to a registry that is not on this machine")
	flags.DurationVar(&f.opts.IdleTimeout, "idle-timeout", 0, "give up when the registry is silent for this `TIME`, as in 1m30s (default 30s)")
	flags.IntVar(&f.opts.ParallelLayers, "parallel", 0, "pull `N` layers of an image at a time, each in up to 16 MiB of memory (default 3)")
}

// options are those of the flags and the configuration file. Its directory is taken
// for the store when no flag names one.
func (f *registryFlags) options(c *cobra.Command, store *string, log *slog.Logger) (guestpull.Options, error) {
	o := f.opts
	o.Logger, o.Registries.URI, o.Policy.URI, o.Signatures.URI = log, f.registries, f.policy, f.signatures
	if f.config == "" {
		return o, nil
	}
	config, err := guestpull.ReadConfig(f.config)
	if err != nil {
		return o, err
	}
	if len(config.Unknown) > 0 {
		log.Warn("the configuration has keys for which nothing is done", "file", f.config, "keys", strings.Join(config.Unknown, " "))
	}
	if config.WorkDir != "" && !c.Flags().Changed("store") {
		*store = config.WorkDir
	}
	err = config.Apply(&o)
	return o, err
}
