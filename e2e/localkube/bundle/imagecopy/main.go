// Imagecopy copies an unpacked image from one containerd to another on the same file system without reading it: blobs and
// snapshots become hard links, and only their records are made anew. Both sides treat what they hold as immutable, so the
// links are safe.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	snapshotter = "overlayfs"
	patience    = 5 * time.Minute
)

// daemon is one containerd: its services, the folder that it keeps its data in, and what is told with every call.
type daemon struct {
	root      string
	namespace string
	lease     string
	content   contentapi.ContentClient
	images    imagesapi.ImagesClient
	leases    leasesapi.LeasesClient
	snapshots snapshotsapi.SnapshotsClient
}

func connect(socket, root, namespace string) (*daemon, error) {
	d := &daemon{root: root, namespace: namespace}
	connection, err := grpc.NewClient(
		"unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(d.callUnary),
		grpc.WithStreamInterceptor(d.callStream),
	)
	if err != nil {
		return nil, err
	}
	d.content = contentapi.NewContentClient(connection)
	d.images = imagesapi.NewImagesClient(connection)
	d.leases = leasesapi.NewLeasesClient(connection)
	d.snapshots = snapshotsapi.NewSnapshotsClient(connection)
	return d, nil
}

func (d *daemon) told(ctx context.Context) context.Context {
	ctx = metadata.AppendToOutgoingContext(ctx, "containerd-namespace", d.namespace)
	if d.lease != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "containerd-lease", d.lease)
	}
	return ctx
}

func (d *daemon) callUnary(
	ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, call grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	return call(d.told(ctx), method, request, reply, connection, options...)
}

func (d *daemon) callStream(
	ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn, method string, open grpc.Streamer,
	options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return open(d.told(ctx), description, connection, method, options...)
}

// withLease keeps the collector of garbage away from what is made before an image refers to it.
func (d *daemon) withLease(ctx context.Context, work func() error) error {
	name := fmt.Sprintf("imagecopy-%d-%d", os.Getpid(), time.Now().UnixNano())
	expires := map[string]string{"containerd.io/gc.expire": time.Now().Add(patience).UTC().Format(time.RFC3339)}
	if _, err := d.leases.Create(ctx, &leasesapi.CreateRequest{ID: name, Labels: expires}); err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	d.lease = name
	err := work()
	d.lease = ""
	_, ended := d.leases.Delete(ctx, &leasesapi.DeleteRequest{ID: name})
	return errors.Join(err, ended)
}

// copyImage makes the image `from` of the source exist as `to` at the target.
func copyImage(ctx context.Context, source, target *daemon, from, to string) error {
	found, err := source.images.Get(ctx, &imagesapi.GetImageRequest{Name: from})
	if err != nil {
		return fmt.Errorf("image %s: %w", from, err)
	}
	wanted := &imagesapi.Image{Name: to, Target: found.Image.Target, Labels: found.Image.Labels}
	return target.withLease(ctx, func() error {
		if err := copyBlobs(ctx, source, target, wanted.Target.Digest); err != nil {
			return err
		}
		_, err := target.images.Create(ctx, &imagesapi.CreateImageRequest{Image: wanted})
		if status.Code(err) == codes.AlreadyExists {
			_, err = target.images.Update(ctx, &imagesapi.UpdateImageRequest{Image: wanted})
		}
		return err
	})
}

func run() error {
	namespace := flag.String("namespace", "k8s.io", "containerd's namespace, on both sides")
	from := flag.String("from", "", "SOCKET=ROOT of the containerd to copy from")
	to := flag.String("to", "", "SOCKET=ROOT of the containerd to copy to")
	flag.Parse()
	sides := make([]*daemon, 2)
	for i, text := range []string{*from, *to} {
		socket, root, _ := strings.Cut(text, "=")
		side, err := connect(socket, root, *namespace)
		if err != nil {
			return err
		}
		sides[i] = side
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, pair := range flag.Args() {
		before, after, _ := strings.Cut(pair, "=")
		if err := copyImage(ctx, sides[0], sides[1], before, after); err != nil {
			return fmt.Errorf("%s: %w", after, err)
		}
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "imagecopy: %v\n", err)
		os.Exit(1)
	}
}
