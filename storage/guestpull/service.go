package guestpull

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// Service is the ImagePullService that a guest's agent calls, over ttrpc:
//
//	cdh.RegisterImagePullServiceService(server, &guestpull.Service{Images: images})
type Service struct{ Images *Images }

var _ cdh.ImagePullServiceService = (*Service)(nil)

// PullImage pulls an image and mounts it at rootfs in the bundle. Every failure
// is an internal error with a text, which is all that agents expect.
func (s *Service) PullImage(ctx context.Context, r *cdh.ImagePullRequest) (*cdh.ImagePullResponse, error) {
	if r.GetBundlePath() == "" {
		return nil, status.Error(codes.Internal, "pull "+fit(r.GetImageUrl())+": bundle_path is missing")
	}
	image, err := s.Images.Pull(ctx, r.GetImageUrl(), PullOptions{Bundle: r.GetBundlePath()})
	if err != nil {
		return nil, status.Error(codes.Internal, answer(err))
	}
	return &cdh.ImagePullResponse{ManifestDigest: image.Digest.String()}, nil
}

func answer(err error) string {
	text := "pull " + err.Error()
	if e := new(storage.Error); errors.As(err, &e) && e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}
