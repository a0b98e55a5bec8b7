package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// check refuses what Kubernetes would not take.
func (m *manifest) check() error {
	switch {
	case m.bytes <= 0:
		return errors.New("the size is 0")
	case m.device != "" && (!filepath.IsAbs(m.device) || filepath.Clean(m.device) != m.device):
		return fmt.Errorf("--device %q is no absolute path", m.device)
	case m.image == "" || strings.ContainsFunc(m.image, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("--image %q is no image", m.image)
	}
	for _, n := range []struct {
		flag, name string
		kind       nameKind
	}{
		{"--name", m.name, label},
		{"--namespace", m.namespace, label},
		{"--storage-class", m.storageClass, subdomain},
		{"--runtime-class", m.runtimeClass, subdomain},
		{"--node", m.node, labelValue},
	} {
		if n.name == "" && n.flag == "--node" {
			continue // of a storage class that makes its volumes
		}
		if !n.kind.accepts(n.name) {
			return fmt.Errorf("%s: a name is 1 to %d %s", n.flag, n.kind.length, n.kind.of)
		}
	}
	return nil
}

// nameKind is a kind of name in Kubernetes.
type nameKind struct {
	length  int
	pattern string // compiled when it is needed: most verbs check no names
	of      string
}

var (
	label      = nameKind{63, `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`, "lower-case letters and digits, with - between them"}
	subdomain  = nameKind{253, `^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`, "lower-case letters and digits, with - or . between them"}
	labelValue = nameKind{63, `^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$`, "letters and digits, with -, . or _ between them"}
)

func (k nameKind) accepts(name string) bool {
	return len(name) <= k.length && regexp.MustCompile(k.pattern).MatchString(name)
}
