package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

// keyKinds says what a new key costs whoever uses it.
const keyKinds = `A key of 32 bytes or more that is not text counts as random, and opens the volume at
once. Text of any length (UTF-8, so hexadecimal digits and base64, too) and all that
is shorter is a passphrase: each use takes some tenths of a second and 64 MiB.`

// storeFlags are the flags that create and open share.
type storeFlags struct {
	key, mount, name string
	integrity        storage.Integrity
	cipher           storage.Cipher
	wait             waitFlag
	asUsed           cli.AsUsed
}

func (f *storeFlags) add(c *cobra.Command) {
	flags := c.Flags()
	addKey(c, &f.key)
	flags.StringVar(&f.mount, "mount", storage.DefaultMountPoint, "mount at this `DIR`, made when missing; none: the mapping alone, no filesystem")
	flags.StringVar(&f.name, "name", "", "`NAME` of the mapping (default "+storage.NamePrefix+" and 5 random characters)")
	flags.Var((*integrityFlag)(&f.integrity), "integrity", "hmac-sha256, or none: encryption only")
	flags.Var((*cipherFlag)(&f.cipher), "cipher", "aes-xts-plain64, or aegis128: faster, with a key of 128 bits and an integrity of its own")
	f.wait.add(flags)
	flags.Var(&f.asUsed, "grow", "full: at once; as-used: only as the filesystem fills, so that little of a sparse device is used; always so with tags in memory")
	complete(c, "grow", "full", "as-used")
	complete(c, "cipher", storage.AESXTS.String(), storage.AEGIS128.String())
	complete(c, "integrity", storage.HMACSHA256.String(), storage.NoIntegrity.String())
}

// check refuses an integrity that was asked for and would not be what is had.
func (f *storeFlags) check(c *cobra.Command) error {
	if f.cipher == storage.AEGIS128 && c.Flags().Changed("integrity") && f.integrity == storage.HMACSHA256 {
		return cli.UsageErrorf(c, "--integrity %v is not that of --cipher %v, which has its own: leave it out", f.integrity, f.cipher)
	}
	return nil
}

func addKey(c *cobra.Command, source *string) {
	c.Flags().StringVar(source, "key", "", "read the key from this `SOURCE`: file:PATH, fd:N or - (standard input); all bytes count, a newline too, but for the one that ends a line typed at a terminal")
	complete(c, "key", "file:", "fd:", "-")
}

func addMaxMemory(c *cobra.Command, mib *uint64) {
	c.Flags().Uint64Var(mib, "max-argon2-memory", 0, "most memory in `MIB` that a key slot may ask for (default 64)")
}

// complete offers values of a flag to the shell.
func complete(c *cobra.Command, flag string, values ...string) {
	err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoSpace))
	if err != nil {
		panic(err) // no such flag: a mistake in this program
	}
}

// integrityFlag parses --integrity.
type integrityFlag storage.Integrity

func (i *integrityFlag) String() string { return storage.Integrity(*i).String() }
func (i *integrityFlag) Type() string   { return "KIND" }
func (i *integrityFlag) Set(s string) error {
	v, err := cryptsetup.ParseIntegrity(s)
	*i = integrityFlag(v)
	return err
}

// cipherFlag parses --cipher.
type cipherFlag storage.Cipher

func (f *cipherFlag) String() string { return storage.Cipher(*f).String() }
func (f *cipherFlag) Type() string   { return "KIND" }
func (f *cipherFlag) Set(s string) error {
	v, err := storage.ParseCipher(s)
	*f = cipherFlag(v)
	return err
}

func (a *app) key(ctx context.Context, source string) (*storage.Key, error) {
	s, err := storage.ParseKeySource(source)
	if err != nil {
		return nil, err
	}
	return cli.ReadKey(ctx, a.err, source, func() (*storage.Key, error) { return s.Load(ctx, a.logger()) })
}
