package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type descriptor struct {
	Digest string `json:"digest"`
}

// document is any of an index, a manifest and an image's configuration: what each refers to.
type document struct {
	Manifests []descriptor `json:"manifests"`
	Config    *descriptor  `json:"config"`
	Layers    []descriptor `json:"layers"`
	RootFS    struct {
		Layers []string `json:"diff_ids"`
	} `json:"rootfs"`
}

func (d *daemon) blobPath(digest string) (string, error) {
	algorithm, sum, found := strings.Cut(digest, ":")
	if !found || algorithm != "sha256" || len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q is no digest", digest)
	}
	return filepath.Join(d.root, "io.containerd.content.v1.content", "blobs", algorithm, sum), nil
}

func (d *daemon) read(digest string) (*document, error) {
	path, err := d.blobPath(digest)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parsed := &document{}
	return parsed, json.Unmarshal(content, parsed)
}

// copyBlobs copies an index or a manifest and all that it refers to, parts first, and each configuration's snapshots.
func copyBlobs(ctx context.Context, source, target *daemon, digest string) error {
	top, err := source.read(digest)
	if err != nil {
		return err
	}
	for _, manifest := range top.Manifests {
		if err := copyBlobs(ctx, source, target, manifest.Digest); err != nil {
			return err
		}
	}
	for _, layer := range top.Layers {
		if err := copyBlob(ctx, source, target, layer.Digest); err != nil {
			return err
		}
	}
	if top.Config != nil {
		config, err := source.read(top.Config.Digest)
		if err != nil {
			return err
		}
		if err := copySnapshots(ctx, source, target, config.RootFS.Layers); err != nil {
			return err
		}
		if err := copyBlob(ctx, source, target, top.Config.Digest); err != nil {
			return err
		}
	}
	return copyBlob(ctx, source, target, digest)
}

// copyBlob links the file first: a containerd that finds the content of a digest in its store takes it as it is, and the
// offset at the end says that no data is to follow.
func copyBlob(ctx context.Context, source, target *daemon, digest string) error {
	_, err := target.content.Info(ctx, &contentapi.InfoRequest{Digest: digest})
	if err == nil {
		return nil
	}
	if status.Code(err) != codes.NotFound {
		return err
	}
	info, err := source.content.Info(ctx, &contentapi.InfoRequest{Digest: digest})
	if err != nil {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	before, err := source.blobPath(digest)
	if err != nil {
		return err
	}
	after, err := target.blobPath(digest)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(after), 0o755); err != nil {
		return err
	}
	if err := os.Link(before, after); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	stream, err := target.content.Write(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&contentapi.WriteContentRequest{
		Action:   contentapi.WriteAction_COMMIT,
		Ref:      "imagecopy-" + digest,
		Total:    info.Info.Size,
		Offset:   info.Info.Size,
		Expected: digest,
		Labels:   info.Info.Labels,
	})
	if err == nil || errors.Is(err, io.EOF) {
		_, err = stream.Recv()
	}
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	return stream.CloseSend()
}
