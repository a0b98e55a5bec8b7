package guestpull

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
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

// ProgressService is PullImage of a service that tells how far it is:
//
//	stores.RegisterImagesService(server, &guestpull.ProgressService{Images: images})
type ProgressService struct{ Images *Images }

var _ stores.ImagesService = (*ProgressService)(nil)

// PullImage pulls an image and mounts it at rootfs in the bundle. A client that reads
// slowly misses events, but the last of each layer, and holds up nothing.
func (s *ProgressService) PullImage(ctx context.Context, r *stores.PullImageRequest, to stores.Images_PullImageServer) error {
	if r.GetBundle() == "" {
		return status.Error(codes.InvalidArgument, "pull "+fit(r.GetImage())+": bundle is missing")
	}
	events := newEvents()
	sent := make(chan error, 1)
	go func() { sent <- events.sendTo(to) }()
	image, err := s.Images.Pull(ctx, r.GetImage(), PullOptions{Bundle: r.GetBundle(), Progress: events.report})
	events.end()
	sendErr := <-sent
	switch {
	case err != nil:
		return status.Error(codes.Internal, answer(err))
	case sendErr != nil:
		return sendErr
	}
	return to.Send(&stores.PullEvent{Digest: image.Digest.String()})
}

func answer(err error) string {
	text := "pull " + err.Error()
	if e := new(storage.Error); errors.As(err, &e) && e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}
