package handover

import (
	"fmt"
	"strings"
)

// Pause is the source of a sandbox: no image is pulled for it, the guest has one in
// its own root filesystem.
const Pause = "pause"

// Pull is what the guest shall pull by itself. See the package about trust.
type Pull struct {
	Image      string            // reference as the host wrote it; [Pause] of a sandbox
	Metadata   map[string]string // labels and annotations
	MountPoint string            // of the root filesystem; "" from a mount
}

// Sandbox reports whether this is the pod's sandbox, for which nothing is pulled.
func (p Pull) Sandbox() bool { return p.Image == Pause }

// Annotations by which a runtime names the image and says what a container is, of
// containerd and of CRI-O.
var (
	imageNameKeys     = []string{"io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"}
	containerTypeKeys = []string{"io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"}
)

// noImage is the source that later snapshotters write in place of none.
const noImage = "dummy-image-reference"

// FromMount returns the pull that the options of a mount ask for. The annotations
// are those of the container. One of them names the image, as for Kata's runtime,
// since nydus-snapshotter does not: its source is empty. A source that is given
// counts when no annotation does.
func FromMount(options []string, annotations map[string]string) (Pull, error) {
	all, err := ParseMount(options)
	if err != nil {
		return Pull{}, err
	}
	if len(all) > 1 {
		return Pull{}, fmt.Errorf("%w: %d", ErrSeveral, len(all))
	}
	v := all[0]
	if v.Type != ImageGuestPull {
		return Pull{}, fmt.Errorf("%w %s: only %s is, whose contents the host does not provide", ErrUnsupported, v.Type, ImageGuestPull)
	}
	p := Pull{Image: v.Source, Metadata: merged(v.Metadata, annotations)}
	if isSandbox(annotations) {
		p.Image = Pause
	} else if name := firstOf(annotations, imageNameKeys); name != "" {
		p.Image = name
	}
	return p, p.check()
}

// merged are the labels with the annotations, which win.
func merged(labels, annotations map[string]string) map[string]string {
	all := make(map[string]string, len(labels)+len(annotations))
	for _, m := range []map[string]string{labels, annotations} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func (p Pull) check() error {
	switch {
	case p.Image == "" || p.Image == noImage:
		return fmt.Errorf("%w: neither by the source nor by annotation %s", ErrNoImage, imageNameKeys[0])
	case len(p.Image) > maxReference || strings.ContainsFunc(p.Image, notInReference):
		return fmt.Errorf("%w: the source is no image reference", ErrInvalid)
	case p.Sandbox() != isSandbox(p.Metadata):
		return fmt.Errorf("%w: source %q, container type %q", ErrContradiction, p.Image, firstOf(p.Metadata, containerTypeKeys))
	}
	return nil
}

// maxReference is the longest reference: 255 bytes of name, 128 of a tag, and a
// digest, generously.
const maxReference = 1024

// notInReference finds what no image reference has, so that none can forge a line of
// a log. Whoever pulls parses it in full.
func notInReference(r rune) bool { return r <= ' ' || r > '~' }

// isSandbox is how agents tell.
func isSandbox(metadata map[string]string) bool {
	for _, key := range containerTypeKeys {
		if metadata[key] == "sandbox" {
			return true
		}
	}
	return false
}

func firstOf(m map[string]string, keys []string) string {
	for _, key := range keys {
		if m[key] != "" {
			return m[key]
		}
	}
	return ""
}
