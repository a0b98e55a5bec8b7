package guestpull

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/trusted-store/trusted-store/storage"
)

// Config is what the configuration of a guest's Confidential Data Hub, cdh.toml, says
// of images. Source: guest-components, confidential-data-hub/example.config.toml.
type Config struct {
	// WorkDir is where images are kept: the store. Empty: it is not said.
	WorkDir string
	// Unknown are the keys that nothing is done for, as "image.x".
	Unknown []string
	image   imageSection
}

// imageSection is [image].
type imageSection struct {
	WorkDir           string         `toml:"work_dir"`
	Parallel          int            `toml:"max_concurrent_layer_downloads_per_image"`
	Credentials       string         `toml:"authenticated_registry_credentials_uri"`
	AnonymousFallback bool           `toml:"anonymous_fallback_on_unauthorized"`
	PolicyURI         string         `toml:"image_security_policy_uri"`
	Policy            string         `toml:"image_security_policy"`
	SignaturesURI     string         `toml:"sigstore_config_uri"`
	Signatures        string         `toml:"sigstore_config"`
	RegistriesURI     string         `toml:"registry_configuration_uri"`
	Registries        map[string]any `toml:"registry_config"`
	RootCertificates  []string       `toml:"extra_root_certificates"`
	Proxy             *proxySection  `toml:"image_pull_proxy"`
}

type proxySection struct {
	HTTPS string `toml:"https_proxy"`
	HTTP  string `toml:"http_proxy"`
	No    string `toml:"no_proxy"`
}

// othersConfig are the parts of the file that are for other services of the guest.
var othersConfig = []string{"aa", "credentials", "kbc", "log", "services_dir", "socket"}

// maxParallel bounds the memory of a pull, whatever a file says.
const maxParallel = 8

// ReadConfig reads a file. Keys that it does not know are no error: they are in
// Unknown, unless they are for other services.
func ReadConfig(path string) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, failure("read configuration", path, "", refuse(storage.ErrInvalid, "", "%w", err))
	}
	var file struct {
		Image imageSection `toml:"image"`
	}
	meta, err := toml.NewDecoder(bytes.NewReader(text)).Decode(&file)
	if err != nil {
		return nil, failure("read configuration", path, "", refuse(storage.ErrInvalid, "give a cdh.toml, as the guest's Confidential Data Hub reads it", "%w", err))
	}
	c := &Config{WorkDir: file.Image.WorkDir, image: file.Image}
	if err := c.check(meta); err != nil {
		return nil, failure("read configuration", path, "", err)
	}
	c.note(meta)
	return c, nil
}

func (c *Config) check(meta toml.MetaData) error {
	const parallel = "max_concurrent_layer_downloads_per_image"
	if n := c.image.Parallel; meta.IsDefined("image", parallel) && n < 1 {
		return refuse(storage.ErrInvalid, "", "%s is %d: expected 1 to %d", parallel, n, maxParallel)
	}
	for _, policy := range []string{"image_security_policy_uri", "image_security_policy"} {
		if meta.IsDefined("image", policy) && c.image.PolicyURI == "" && c.image.Policy == "" {
			return refuse(storage.ErrInvalid, "give a policy, or leave the key out", "%s is empty", policy)
		}
	}
	return nil
}

// note keeps the keys that nobody reads.
func (c *Config) note(meta toml.MetaData) {
	for _, key := range meta.Undecoded() {
		name := key.String()
		under := slices.ContainsFunc(c.Unknown, func(known string) bool { return strings.HasPrefix(name, known+".") })
		if !under && !slices.Contains(othersConfig, key[0]) && !strings.HasPrefix(name, "image.registry_config.") {
			c.Unknown = append(c.Unknown, name)
		}
	}
}

// Apply fills in what o leaves open.
func (c *Config) Apply(o *Options) error {
	i := c.image
	if o.AuthFile == "" {
		o.AuthFile, o.AnonymousFallback = i.Credentials, i.AnonymousFallback
	}
	if !o.Registries.Given() {
		text, err := encodeTOML(i.Registries)
		if err != nil {
			return err
		}
		o.Registries = Source{URI: i.RegistriesURI, Text: text}
	}
	if !o.Policy.Given() {
		o.Policy = Source{URI: i.PolicyURI, Text: []byte(i.Policy)}
	}
	if !o.Signatures.Given() {
		o.Signatures = Source{URI: i.SignaturesURI, Text: []byte(i.Signatures)}
	}
	if o.Proxy == nil && i.Proxy != nil {
		o.Proxy = &Proxy{HTTPS: i.Proxy.HTTPS, HTTP: i.Proxy.HTTP, No: i.Proxy.No}
	}
	if o.ParallelLayers == 0 {
		o.ParallelLayers = min(i.Parallel, maxParallel)
	}
	o.RootCertificates = append(o.RootCertificates, i.RootCertificates...)
	return nil
}

// encodeTOML makes a file of its own of a part of another.
func encodeTOML(part map[string]any) ([]byte, error) {
	if part == nil {
		return nil, nil
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(part); err != nil {
		return nil, fmt.Errorf("registries.conf: %w", err)
	}
	return b.Bytes(), nil
}
