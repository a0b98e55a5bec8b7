package securemount

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

// OpenVolume is part of the protocol: SecureMount with types.
func (s *Server) OpenVolume(ctx context.Context, req *stores.OpenVolumeRequest) (*stores.OpenVolumeResponse, error) {
	s.mounting.Add(1)
	defer s.mounting.Add(-1)
	r, err := volumeRequest(req)
	if err != nil {
		s.log.Warn("request refused", "err", err)
		return nil, statusOf(err)
	}
	live, err := s.once(ctx, req, func() (*storage.Status, error) { return s.openVolume(ctx, &r) })
	if err != nil {
		s.log.Error("open volume failed", "mount_point", r.MountPoint, "err", err)
		return nil, statusOf(err)
	}
	return &stores.OpenVolumeResponse{Store: message(live)}, nil
}

func (s *Server) openVolume(ctx context.Context, r *Request) (*storage.Status, error) {
	if err := s.mount(ctx, r); err != nil {
		return nil, err
	}
	return find(ctx, r.MountPoint)
}

// CloseVolume is part of the protocol: it is Unmount.
func (s *Server) CloseVolume(ctx context.Context, req *stores.CloseVolumeRequest) (*stores.CloseVolumeResponse, error) {
	_, err := s.Unmount(ctx, &stores.UnmountRequest{Store: req.GetStore()})
	return &stores.CloseVolumeResponse{}, err
}

// volumeRequest understands a request, by the rules of those that are made of
// strings.
func volumeRequest(req *stores.OpenVolumeRequest) (Request, error) {
	options := map[string]string{"targetType": "fileSystem", "dataIntegrity": strconv.FormatBool(!req.GetNoIntegrity())}
	switch req.GetContents() {
	case stores.Contents_CONTENTS_VOLUME:
		options["sourceType"] = "encrypted"
	case stores.Contents_CONTENTS_NONE:
		options["sourceType"] = "empty"
	default:
		return Request{}, &InvalidRequestError{[]string{fmt.Sprintf("contents %d: expected CONTENTS_VOLUME (it is opened) or CONTENTS_NONE (the device is formatted)", req.GetContents())}}
	}
	if strings.HasPrefix(req.GetDevice(), "/") {
		options["devicePath"] = req.GetDevice()
	} else {
		options["deviceId"] = req.GetDevice()
	}
	for name, value := range map[string]string{"key": req.GetKey(), "mapperName": req.GetName(), "cipher": req.GetCipher()} {
		if value != "" {
			options[name] = value
		}
	}
	var flags []string
	for name, set := range map[string]bool{"ro": req.GetReadOnly(), "noexec": req.GetNoExec()} {
		if set {
			flags = append(flags, name)
		}
	}
	r, err := ParseRequest(&cdh.SecureMountRequest{VolumeType: "block-device", Options: options, Flags: flags, MountPoint: req.GetMountPoint()})
	if err != nil {
		return Request{}, err
	}
	r.Filesystem, err = filesystemOf(req)
	return r, err
}

func filesystemOf(req *stores.OpenVolumeRequest) (o storage.FilesystemOptions, err error) {
	o.NoJournal = req.GetNoJournal()
	p := parser{}
	check := func(name string, given bool, value string, parse func(*storage.FilesystemOptions, string) error) {
		if given {
			if err := parse(&o, value); err != nil {
				p.problem("%s %s: %v", name, quote(value), err)
			}
		}
	}
	check("bytes_per_inode", req.GetBytesPerInode() != 0, strconv.FormatUint(req.GetBytesPerInode(), 10), bytesPerInode)
	check("inode_size", req.GetInodeSize() != 0, strconv.FormatUint(uint64(req.GetInodeSize()), 10), inodeSize)
	check("label", req.GetLabel() != "", req.GetLabel(), label)
	if len(p.problems) > 0 {
		return o, &InvalidRequestError{p.problems}
	}
	return o, nil
}
