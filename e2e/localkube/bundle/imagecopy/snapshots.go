package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// chains names the snapshot of each layer on top of those below it, as the OCI image specification defines chain ids.
func chains(layers []string) []string {
	names := make([]string, len(layers))
	for i, layer := range layers {
		names[i] = layer
		if i > 0 {
			names[i] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(names[i-1]+" "+layer)))
		}
	}
	return names
}

func copySnapshots(ctx context.Context, source, target *daemon, layers []string) error {
	parent := ""
	for _, name := range chains(layers) {
		if err := copySnapshot(ctx, source, target, name, parent); err != nil {
			return fmt.Errorf("snapshot %s: %w", name, err)
		}
		parent = name
	}
	return nil
}

func copySnapshot(ctx context.Context, source, target *daemon, name, parent string) error {
	_, err := target.snapshots.Stat(ctx, &snapshotsapi.StatSnapshotRequest{Snapshotter: snapshotter, Key: name})
	if status.Code(err) != codes.NotFound {
		return err
	}
	from, err := source.committedFolder(ctx, name)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("imagecopy-%d-%s", os.Getpid(), name)
	prepared, err := target.snapshots.Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{
		Snapshotter: snapshotter, Key: key, Parent: parent,
	})
	if err != nil {
		return err
	}
	to, err := top(prepared.Mounts)
	if err == nil {
		err = linkTree(from, to)
	}
	if err == nil {
		_, err = target.snapshots.Commit(ctx, &snapshotsapi.CommitSnapshotRequest{
			Snapshotter: snapshotter, Key: key, Name: name,
		})
	}
	if err != nil {
		target.snapshots.Remove(ctx, &snapshotsapi.RemoveSnapshotRequest{Snapshotter: snapshotter, Key: key})
	}
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return err
}

// committedFolder is where the files of a committed snapshot's own layer are.
func (d *daemon) committedFolder(ctx context.Context, name string) (string, error) {
	key := fmt.Sprintf("imagecopy-view-%d-%s", os.Getpid(), name)
	view, err := d.snapshots.View(ctx, &snapshotsapi.ViewSnapshotRequest{Snapshotter: snapshotter, Key: key, Parent: name})
	if err != nil {
		return "", err
	}
	defer d.snapshots.Remove(ctx, &snapshotsapi.RemoveSnapshotRequest{Snapshotter: snapshotter, Key: key})
	return top(view.Mounts)
}

// top is the folder of the uppermost layer in a mount: of a single layer the bind's source, else what overlayfs is told.
func top(mounts []*types.Mount) (string, error) {
	if len(mounts) != 1 {
		return "", fmt.Errorf("%d mounts where one was expected", len(mounts))
	}
	if mounts[0].Type == "bind" {
		return mounts[0].Source, nil
	}
	lower := ""
	for _, option := range mounts[0].Options {
		if upper, found := strings.CutPrefix(option, "upperdir="); found {
			return upper, nil
		}
		if folders, found := strings.CutPrefix(option, "lowerdir="); found {
			lower, _, _ = strings.Cut(folders, ":")
		}
	}
	if !filepath.IsAbs(lower) {
		return "", fmt.Errorf("no folder in the mount's options %q", mounts[0].Options)
	}
	return lower, nil
}

// linkTree fills the folder `to` with the same tree as `from`: folders made anew with all their attributes, the rest linked.
// Times come last, since filling a folder changes its own.
func linkTree(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		before, after := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		if !entry.IsDir() {
			if err := os.Link(before, after); err != nil {
				return err
			}
			continue
		}
		if err := os.Mkdir(after, 0o700); err != nil {
			return err
		}
		if err := linkTree(before, after); err != nil {
			return err
		}
	}
	return copyAttributes(from, to)
}

func copyAttributes(from, to string) error {
	var found unix.Stat_t
	if err := unix.Lstat(from, &found); err != nil {
		return err
	}
	if err := unix.Lchown(to, int(found.Uid), int(found.Gid)); err != nil {
		return err
	}
	if err := unix.Chmod(to, found.Mode&0o7777); err != nil {
		return err
	}
	if err := copyExtended(from, to); err != nil {
		return err
	}
	times := []unix.Timespec{found.Atim, found.Mtim}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, times, unix.AT_SYMLINK_NOFOLLOW)
}

// copyExtended copies what marks a folder as opaque to overlayfs, among others.
func copyExtended(from, to string) error {
	names := make([]byte, 64<<10)
	length, err := unix.Llistxattr(from, names)
	if err != nil {
		return err
	}
	value := make([]byte, 64<<10)
	for _, name := range strings.Split(strings.TrimRight(string(names[:length]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		size, err := unix.Lgetxattr(from, name, value)
		if err != nil {
			return err
		}
		if err := unix.Lsetxattr(to, name, value[:size], 0); err != nil {
			return err
		}
	}
	return nil
}
