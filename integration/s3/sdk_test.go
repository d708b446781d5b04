package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/minio/minio-go/v7"
	miniocredentials "github.com/minio/minio-go/v7/pkg/credentials"

	"ostor/internal/cluster"
)

// sizes are those around the edges of blocks and of the gateway's small bodies.
var sizes = []int{0, 1, 4095, 4096, 4097, 128 << 10, 128<<10 + 1, 5 << 20}

func (s *site) aws(options ...func(*s3.Options)) *s3.Client {
	key := s.alice.Keys[0]
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.server.URL), Region: "us-east-1", UsePathStyle: true,
		Credentials:                awscredentials.NewStaticCredentialsProvider(key.AccessKey, key.Secret, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported, // as config.Load sets them
	}, options...)
}

func content(size int) []byte {
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = rng.Read(b) // never fails
	return b
}

// TestAWS uses the AWS SDK with its default checksums: CRC32 in a trailer or header, verified both ways.
func TestAWS(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	ctx := t.Context()
	client := s.aws()
	secure := httptest.NewTLSServer(s.gateway)
	defer secure.Close()
	// Over TLS the SDK sends the checksum in a trailer: STREAMING-UNSIGNED-PAYLOAD-TRAILER.
	trailing := s.aws(func(o *s3.Options) { o.BaseEndpoint, o.HTTPClient = aws.String(secure.URL), secure.Client() })
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("box")})
	s.must(err)
	for _, size := range sizes {
		body := content(size)
		key := aws.String(fmt.Sprintf("dir//%d", size))
		for _, stream := range []bool{false, true} {
			var src io.Reader = bytes.NewReader(body)
			via := client
			if stream {
				via, src = trailing, io.MultiReader(bytes.NewReader(body)) // not seekable
			}
			put, err := via.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("box"), Key: key, Body: src, ContentLength: aws.Int64(int64(size)), Metadata: map[string]string{"size": fmt.Sprint(size)}})
			if err != nil {
				t.Fatalf("put %d bytes, stream %v: %v", size, stream, err)
			}
			if put.ChecksumCRC32 == nil {
				t.Errorf("size %d: no CRC32 came back", size)
			}
		}
		got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("box"), Key: key, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatalf("get %d bytes: %v", size, err)
		}
		b, err := io.ReadAll(got.Body)
		if err != nil || !bytes.Equal(b, body) || got.Metadata["size"] != fmt.Sprint(size) {
			t.Errorf("size %d: got %d bytes, metadata %v, error %v", size, len(b), got.Metadata, err)
		}
	}
	for _, a := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256} {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("box"), Key: aws.String("sums"), Body: strings.NewReader(string(a)), ChecksumAlgorithm: a})
		if err != nil {
			t.Errorf("put with %s: %v", a, err)
			continue
		}
		got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("box"), Key: aws.String("sums"), ChecksumMode: types.ChecksumModeEnabled})
		s.must(err)
		if b, err := io.ReadAll(got.Body); err != nil || string(b) != string(a) {
			t.Errorf("get with %s: %q, %v", a, b, err)
		}
	}
	// Errors as the SDK types them.
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("box"), Key: aws.String("none")})
	if e := new(types.NoSuchKey); !errors.As(err, &e) {
		t.Errorf("a missing key: %v", err)
	}
	_, err = client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("box"), Key: aws.String("none")})
	if e := new(types.NotFound); !errors.As(err, &e) {
		t.Errorf("HEAD of a missing key: %v", err)
	}
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("box"), Key: aws.String("sums"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
	if e := smithy.APIError(nil); !errors.As(err, &e) || e.ErrorCode() != "PreconditionFailed" {
		t.Errorf("a conditional put: %v", err)
	}
	// Paging over everything, and deleting it at once.
	var ids []types.ObjectIdentifier
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String("box"), MaxKeys: aws.Int32(3)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		s.must(err)
		for _, o := range page.Contents {
			ids = append(ids, types.ObjectIdentifier{Key: o.Key})
		}
	}
	if len(ids) != len(sizes)+1 {
		t.Errorf("%d keys listed, want %d", len(ids), len(sizes)+1)
	}
	deleted, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String("box"), Delete: &types.Delete{Objects: ids}})
	s.must(err)
	if len(deleted.Deleted) != len(ids) || len(deleted.Errors) != 0 {
		t.Errorf("%d deleted, %d errors", len(deleted.Deleted), len(deleted.Errors))
	}
	_, err = client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("box")})
	s.must(err)
	s.nothingLeft()
}

// nothingLeft collects garbage and checks that no bytes are stored.
func (s *site) nothingLeft() {
	s.t.Helper()
	s.collect()
	for _, o := range s.objects {
		err := o.Objects(context.Background(), cluster.ObjectID{}, func(id cluster.ObjectID, size, _ int64) bool {
			s.t.Errorf("object %s of %d bytes is left", id, size)
			return true
		})
		s.must(err)
	}
}

func TestAWSMultipart(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 3)
	ctx := t.Context()
	client := s.aws()
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("box")})
	s.must(err)
	body := content(17<<20 + 5)
	//nolint:staticcheck // what clients in the field use; its successor is another module
	up := manager.NewUploader(client, func(u *manager.Uploader) { u.PartSize = 5 << 20 })
	_, err = up.Upload(ctx, &s3.PutObjectInput{Bucket: aws.String("box"), Key: aws.String("big"), Body: io.MultiReader(bytes.NewReader(body))})
	s.must(err)
	buf := manager.NewWriteAtBuffer(nil)
	//nolint:staticcheck // likewise
	n, err := manager.NewDownloader(client, func(d *manager.Downloader) { d.PartSize = 3 << 20 }).Download(ctx, buf, &s3.GetObjectInput{Bucket: aws.String("box"), Key: aws.String("big")})
	if err != nil || sha256.Sum256(buf.Bytes()) != sha256.Sum256(body) {
		t.Errorf("downloaded %d bytes, want %d: %v", n, len(body), err)
	}
	_, err = client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("box"), Key: aws.String("copy"), CopySource: aws.String("box/big")})
	s.must(err)
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("box"), Key: aws.String("copy")})
	s.must(err)
	if b, err := io.ReadAll(got.Body); err != nil || !bytes.Equal(b, body) {
		t.Errorf("the copy has %d bytes: %v", len(b), err)
	}
	for _, key := range []string{"big", "copy"} {
		_, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("box"), Key: aws.String(key)})
		s.must(err)
	}
	s.nothingLeft()
}

func TestAWSPresigned(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.bucket("box")
	ctx := t.Context()
	presign := s3.NewPresignClient(s.aws())
	put, err := presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("box"), Key: aws.String("a b/ü")})
	s.must(err)
	if got := s.plain("PUT", put.URL, "hello", put.SignedHeader); got.status != 200 {
		t.Errorf("presigned PUT: got %d %s", got.status, got.body)
	}
	get, err := presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("box"), Key: aws.String("a b/ü"), ResponseContentType: aws.String("text/z")})
	s.must(err)
	if got := s.plain("GET", get.URL, "", nil); got.body != "hello" || got.header.Get("Content-Type") != "text/z" {
		t.Errorf("presigned GET: got %d %q", got.status, got.body)
	}
	for name, bad := range map[string]answer{
		"another method":  s.plain("DELETE", get.URL, "", nil),
		"a copy source":   s.plain("PUT", put.URL, "", http.Header{"X-Amz-Copy-Source": {"box/a%20b/%C3%BC"}}),
		"metadata":        s.plain("PUT", put.URL, "x", http.Header{"X-Amz-Meta-A": {"1"}}),
		"another key":     s.plain("GET", strings.Replace(get.URL, "a%20b", "a%20c", 1), "", nil),
		"an override":     s.plain("GET", strings.Replace(get.URL, "text%2Fz", "text%2Fhtml", 1), "", nil),
		"a longer life":   s.plain("GET", strings.Replace(get.URL, "X-Amz-Expires=900", "X-Amz-Expires=9000", 1), "", nil),
		"no signature":    s.plain("GET", strings.Split(get.URL, "?")[0], "", nil),
		"two credentials": s.plain("GET", get.URL, "", http.Header{"Authorization": {"AWS x:y"}}),
	} {
		if bad.status != 403 && bad.status != 400 {
			t.Errorf("%s: got %d %s", name, bad.status, bad.body)
		}
	}
	if got := s.want(200, "", ask{method: "GET", target: "/box/a%20b/%C3%BC"}); got.body != "hello" || got.header.Get("X-Amz-Meta-A") != "" {
		t.Errorf("the object is now %q", got.body)
	}
}

// plain sends a request without signing it.
func (s *site) plain(method, url, body string, header http.Header) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	s.must(err)
	for name, v := range header {
		if name != "Host" && name != "Content-Length" {
			req.Header[name] = v
		}
	}
	return s.send(req)
}

// TestMinio uses minio-go with both versions of signatures; its streams come in signed chunks.
func TestMinio(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	ctx := t.Context()
	key := s.alice.Keys[0]
	for name, creds := range map[string]*miniocredentials.Credentials{
		"v4": miniocredentials.NewStaticV4(key.AccessKey, key.Secret, ""), "v2": miniocredentials.NewStaticV2(key.AccessKey, key.Secret, ""),
	} {
		t.Run(name, func(t *testing.T) {
			client, err := minio.New(strings.TrimPrefix(s.server.URL, "http://"), &minio.Options{Creds: creds})
			s.must(err)
			bucket := "box-" + name
			s.must(client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{}))
			for _, size := range sizes {
				body := content(size)
				object := fmt.Sprintf("dir/ü %d", size)
				if _, err := client.PutObject(ctx, bucket, object, bytes.NewReader(body), int64(size), minio.PutObjectOptions{UserMetadata: map[string]string{"Size": fmt.Sprint(size)}}); err != nil {
					t.Fatalf("put %d bytes: %v", size, err)
				}
				got, err := client.GetObject(ctx, bucket, object, minio.GetObjectOptions{})
				s.must(err)
				b, err := io.ReadAll(got)
				if err != nil || !bytes.Equal(b, body) {
					t.Errorf("get %d bytes: got %d, %v", size, len(b), err)
				}
			}
			big := content(11 << 20)
			if _, err := client.PutObject(ctx, bucket, "big", io.MultiReader(bytes.NewReader(big)), -1, minio.PutObjectOptions{PartSize: 5 << 20}); err != nil {
				t.Errorf("a multipart stream: %v", err)
			}
			if _, err := client.CopyObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "copy"}, minio.CopySrcOptions{Bucket: bucket, Object: "big"}); err != nil {
				t.Errorf("copy: %v", err)
			}
			if _, err := client.ComposeObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "composed"}, minio.CopySrcOptions{Bucket: bucket, Object: "big"}, minio.CopySrcOptions{Bucket: bucket, Object: "copy"}); err != nil {
				t.Errorf("compose: %v", err)
			}
			info, err := client.StatObject(ctx, bucket, "composed", minio.StatObjectOptions{})
			if err != nil || info.Size != 2*int64(len(big)) {
				t.Errorf("the composed object: %v, %v", info.Size, err)
			}
			link, err := client.PresignedGetObject(ctx, bucket, "copy", time.Minute, nil)
			s.must(err)
			if got := s.plain("GET", link.String(), "", nil); got.body != string(big) {
				t.Errorf("a presigned link: got %d and %d bytes", got.status, len(got.body))
			}
			count := 0
			names := make(chan minio.ObjectInfo)
			go func() {
				defer close(names)
				for o := range client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
					if o.Err != nil {
						t.Errorf("list: %v", o.Err)
						return
					}
					count++
					names <- o
				}
			}()
			for e := range client.RemoveObjects(ctx, bucket, names, minio.RemoveObjectsOptions{}) {
				t.Errorf("remove %s: %v", e.ObjectName, e.Err)
			}
			if count != len(sizes)+3 {
				t.Errorf("%d objects listed, want %d", count, len(sizes)+3)
			}
			s.must(client.RemoveBucket(ctx, bucket))
		})
	}
	s.nothingLeft()
}
