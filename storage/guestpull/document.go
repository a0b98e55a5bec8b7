package guestpull

import (
	"encoding/json"
	"errors"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/trusted-store/trusted-store/storage"
)

// document is the manifest of an image, or a list of manifests. Which of them it is
// is told by its own bytes alone, so that a digest stands for one image: what a
// registry or a list calls it is not looked at.
type document struct {
	isList    bool
	manifests []ocispec.Descriptor // of a list
	config    ocispec.Descriptor   // of an image, as are the layers
	layers    []ocispec.Descriptor
}

// documentMembers decide what a document is.
var documentMembers = []string{"mediaType", "config", "layers", "manifests", "fsLayers"}

// documentTypes say of a type whether it is a list's.
var documentTypes = map[string]bool{
	ocispec.MediaTypeImageManifest: false, dockerManifest: false,
	ocispec.MediaTypeImageIndex: true, dockerIndex: true,
}

// errNoImage is a document that is neither: of an artifact, for example.
var errNoImage = errors.New("neither the manifest of an image nor a list of such")

// parseDocument refuses what could be both, or is not what it says of itself.
func parseDocument(text []byte) (*document, error) {
	members, err := membersOf(text, documentMembers)
	if err != nil {
		return nil, err
	}
	_, isList := members["manifests"]
	_, hasConfig := members["config"]
	_, hasLayers := members["layers"]
	switch _, isOld := members["fsLayers"]; {
	case isOld:
		return nil, refuse(storage.ErrNotSupported, "build it anew, or ask for another tag", "its manifest is docker's of version 1: an OCI or docker (version 2) image is expected")
	case isList && (hasConfig || hasLayers):
		return nil, refuse(ErrRejected, "", "its manifest could be an image's, or a list of manifests: it has the members of both")
	case !isList && !hasConfig:
		return nil, refuse(ErrRejected, "", "its manifest is %w", errNoImage)
	}
	if raw, says := members["mediaType"]; says {
		if err := checkType(raw, isList); err != nil {
			return nil, err
		}
	}
	return parseMembers(members, isList)
}

// checkType holds a document to what it says of itself.
func checkType(raw json.RawMessage, isList bool) error {
	var mediaType string
	if json.Unmarshal(raw, &mediaType) != nil {
		return refuse(ErrRejected, "", "the type of its manifest is no text")
	}
	switch list, known := documentTypes[mediaType]; {
	case mediaType == "":
		return nil
	case !known:
		return refuse(ErrRejected, "", "its manifest is of type %s: an OCI or docker (version 2) image is expected", quote(mediaType))
	case list != isList:
		return refuse(ErrRejected, "", "its manifest says that it is of type %s, and has the members of another", quote(mediaType))
	}
	return nil
}

func parseMembers(members map[string]json.RawMessage, isList bool) (_ *document, err error) {
	d := &document{isList: isList}
	if isList {
		d.manifests, err = descriptors(members["manifests"], "manifests", maxManifests)
		return d, err
	}
	if d.config, err = parseDescriptor(members["config"]); err != nil {
		return nil, err
	}
	if raw, has := members["layers"]; has {
		d.layers, err = descriptors(raw, "layers", maxLayers)
	}
	return d, err
}
