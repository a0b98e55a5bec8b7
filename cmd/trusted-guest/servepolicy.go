package main

import "github.com/spf13/cobra"

// addPolicyFlags adds what no request can weaken.
func addPolicyFlags(c *cobra.Command, f *serveFlags) {
	flags := c.Flags()
	flags.BoolVar(&f.policy.RequireIntegrity, "require-integrity", false, "refuse stores that are encrypted only")
	flags.StringArrayVar(&f.policy.Keys, "allow-key", nil, "refuse keys but `KEY`: random, sealed, or file:///… or kbs://…, whole or up to a slash; may be repeated")
	flags.StringArrayVar(&f.policy.MountPoints, "allow-mount", nil, "refuse mount points but `DIR` and those below; may be repeated")
	flags.Var(&f.least, "min-device", "refuse devices smaller than SIZE")
	flags.Var(&f.most, "max-device", "refuse devices larger than SIZE")
	for _, name := range []string{"min-device", "max-device"} {
		flags.Lookup(name).DefValue = "" // no limit
	}
}
