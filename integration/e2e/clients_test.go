package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	miniocreds "github.com/minio/minio-go/v7/pkg/credentials"
)

// sizes are where something changes: nothing, a byte, a block, the next block, a part in two blocks, a multipart upload, many blocks. The largest goes through one client only: to the site it
// makes no difference whose parts they are, and it takes as long as all others together.
var sizes = []int64{0, 1, 4095, 4096, 4097, 128<<10 + 1, 5 << 20, 100 << 20, largest}

const largest = 1 << 30

const (
	listed    = 10000 // keys that every client lists
	treeFiles = 2000  // small files that are synced
)

// client is one S3 client at the things that all of them do.
type client interface {
	makeBucket(t *testing.T, bucket string)
	upload(t *testing.T, file, bucket, key string)
	download(t *testing.T, bucket, key, file string)
	count(t *testing.T, bucket, prefix string) int // keys below a prefix
	remove(t *testing.T, bucket, key string)
}

func TestClientsOnServe(t *testing.T) { clients(t, serveSite) }
func TestClientsOnFUSE(t *testing.T)  { clients(t, fuseSite) }

// clients runs everything side by side, as many tests at once as there are cores.
func clients(t *testing.T, start func(*testing.T) *site) {
	t.Parallel()
	s := start(t)
	files := makeFiles(t)
	tree := makeTree(t)
	fill(t, s, "listing", listed)
	all := []struct {
		name string
		c    client
	}{
		{"awscli", awscli{s}},
		{"s3cmd", newS3cmd(t, s)},
		{"rclone", newRclone(t, s)},
		{"aws-sdk-go-v2", newSDK(s)},
		{"minio-go", newMinio(t, s)},
	}
	for _, cl := range all {
		t.Run(cl.name, func(t *testing.T) {
			t.Parallel()
			files := files
			if cl.name != "aws-sdk-go-v2" {
				files = slices.DeleteFunc(slices.Clone(files), func(f file) bool { return f.size == largest })
			}
			bucket := "sizes-" + cl.name
			cl.c.makeBucket(t, bucket)
			for _, f := range files {
				key := "dir/" + filepath.Base(f.path)
				cl.c.upload(t, f.path, bucket, key)
				back := filepath.Join(t.TempDir(), "back")
				cl.c.download(t, bucket, key, back)
				if got := digest(t, back); got != f.digest {
					t.Errorf("%d bytes came back with digest %s, want %s", f.size, got, f.digest)
				}
				_ = os.Remove(back)
			}
			if got := cl.c.count(t, bucket, "dir/"); got != len(files) {
				t.Errorf("listing shows %d keys, want %d", got, len(files))
			}
			for _, f := range files {
				cl.c.remove(t, bucket, "dir/"+filepath.Base(f.path))
			}
			if got := cl.c.count(t, bucket, ""); got != 0 {
				t.Errorf("after removing all, the listing shows %d keys", got)
			}
			if got := cl.c.count(t, "listing", ""); got != listed {
				t.Errorf("a bucket of %d keys lists %d", listed, got)
			}
		})
	}
	t.Run("sync", func(t *testing.T) { t.Parallel(); syncTree(t, s, tree) })
	t.Run("ranges", func(t *testing.T) { t.Parallel(); ranges(t, s) })
}

type file struct {
	path   string
	size   int64
	digest string
}

// makeFiles writes one file of pseudo-random bytes per size.
func makeFiles(t *testing.T) (files []file) {
	t.Helper()
	dir := t.TempDir()
	for _, size := range sizes {
		name := filepath.Join(dir, fmt.Sprintf("f%d", size))
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), 7}), size); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		files = append(files, file{name, size, hex.EncodeToString(h.Sum(nil))})
	}
	return files
}

// makeTree writes a source tree of small files in directories.
func makeTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range treeFiles {
		dir := filepath.Join(root, fmt.Sprintf("pkg%02d", i%40), fmt.Sprintf("sub %d", i%3))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		body := bytes.Repeat([]byte(fmt.Sprintf("line %d of a source file\n", i)), rng.IntN(300))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%04d.go", i)), body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func digest(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// fill puts n empty-ish objects with 32 writers.
func fill(t *testing.T, s *site, bucket string, n int) {
	t.Helper()
	c := newSDK(s).c
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	work, errs := make(chan int), make(chan error, 32)
	for range 32 {
		go func() {
			var err error
			for i := range work {
				if err == nil {
					_, err = c.PutObject(context.Background(), &awss3.PutObjectInput{Bucket: &bucket, Key: aws.String(fmt.Sprintf("d%02d/key-%05d", i%50, i)), Body: strings.NewReader("x")})
				}
			}
			errs <- err
		}()
	}
	for i := range n {
		work <- i
	}
	close(work)
	for range 32 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// syncTree syncs a tree up and down with three clients, and compares.
func syncTree(t *testing.T, s *site, tree string) {
	s3cmd, rclone := newS3cmd(t, s), newRclone(t, s)
	for _, tc := range []struct {
		name     string
		up, down func(t *testing.T, bucket, back string)
	}{
		{"awscli",
			func(t *testing.T, b, _ string) { s.aws(t, "s3", "sync", "--only-show-errors", tree, "s3://"+b+"/src") },
			func(t *testing.T, b, back string) {
				s.aws(t, "s3", "sync", "--only-show-errors", "s3://"+b+"/src", back)
			}},
		{"s3cmd",
			func(t *testing.T, b, _ string) { s3cmd.run(t, "sync", "--quiet", tree+"/", "s3://"+b+"/src/") },
			func(t *testing.T, b, back string) { s3cmd.run(t, "sync", "--quiet", "s3://"+b+"/src/", back+"/") }},
		{"rclone",
			func(t *testing.T, b, _ string) { rclone.run(t, "sync", tree, "o:"+b+"/src") },
			func(t *testing.T, b, back string) { rclone.run(t, "sync", "o:"+b+"/src", back) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bucket, back := "tree-"+tc.name, t.TempDir()
			s.aws(t, "s3", "mb", "s3://"+bucket)
			tc.up(t, bucket, back)
			tc.down(t, bucket, back)
			s.tool(t, "diff", "-r", tree, back)
			n := 0
			_ = filepath.WalkDir(back, func(_ string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					n++
				}
				return err
			})
			if n != treeFiles {
				t.Errorf("%d files came back, want %d", n, treeFiles)
			}
		})
	}
}

// ranges reads pieces of a large object, across block borders, with a client and with curl on a presigned URL.
func ranges(t *testing.T, s *site) {
	c := newSDK(s).c
	body := make([]byte, 20<<20+12345)
	_, _ = rand.NewChaCha8([32]byte{9}).Read(body)
	bucket, key := "ranges", "big object"
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
	n := int64(len(body))
	for _, r := range []struct {
		header     string
		begin, end int64 // half open
	}{
		{"bytes=0-0", 0, 1}, {"bytes=4095-4096", 4095, 4097}, {"bytes=8388600-8388700", 8388600, 8388701}, {"bytes=16777215-16777216", 16777215, 16777217},
		{"bytes=-1", n - 1, n}, {"bytes=-12346", n - 12346, n}, {"bytes=20000000-", 20000000, n}, {"bytes=0-99999999999", 0, n}, {"bytes=1048575-3145729", 1048575, 3145730},
	} {
		out, err := c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &bucket, Key: &key, Range: &r.header})
		if err != nil {
			t.Errorf("%s: %v", r.header, err)
			continue
		}
		got, err := io.ReadAll(out.Body)
		_ = out.Body.Close()
		if err != nil || !bytes.Equal(got, body[r.begin:r.end]) {
			t.Errorf("%s: %d bytes (%v), want bytes [%d, %d)", r.header, len(got), err, r.begin, r.end)
		}
		if want := fmt.Sprintf("bytes %d-%d/%d", r.begin, r.end-1, n); aws.ToString(out.ContentRange) != want {
			t.Errorf("%s: Content-Range %q, want %q", r.header, aws.ToString(out.ContentRange), want)
		}
	}
	back := filepath.Join(t.TempDir(), "piece")
	s.aws(t, "s3api", "get-object", "--bucket", bucket, "--key", key, "--range", "bytes=100-199", back)
	if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, body[100:200]) {
		t.Errorf("awscli range: %d bytes, %v", len(got), err)
	}
}

// awscli is Debian's aws.
type awscli struct{ s *site }

func (s *site) aws(t *testing.T, args ...string) string {
	t.Helper()
	return s.tool(t, "aws", append([]string{"--endpoint-url", s.endpoint}, args...)...)
}
func (c awscli) makeBucket(t *testing.T, b string) { c.s.aws(t, "s3", "mb", "s3://"+b) }
func (c awscli) upload(t *testing.T, file, b, k string) {
	c.s.aws(t, "s3", "cp", "--only-show-errors", file, "s3://"+b+"/"+k)
}
func (c awscli) download(t *testing.T, b, k, file string) {
	c.s.aws(t, "s3", "cp", "--only-show-errors", "s3://"+b+"/"+k, file)
}
func (c awscli) remove(t *testing.T, b, k string) {
	c.s.aws(t, "s3", "rm", "--only-show-errors", "s3://"+b+"/"+k)
}
func (c awscli) count(t *testing.T, b, prefix string) int {
	var n int
	out := c.s.aws(t, "s3api", "list-objects-v2", "--bucket", b, "--prefix", prefix, "--query", "length(Contents || `[]`)")
	if err := json.Unmarshal([]byte(out), &n); err != nil {
		t.Fatalf("awscli printed %q", out)
	}
	return n
}

// s3cmd is Debian's s3cmd.
type s3cmd struct {
	s    *site
	conf string
}

func newS3cmd(t *testing.T, s *site) s3cmd {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "s3cfg")
	text := fmt.Sprintf("[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nuse_https = False\ncheck_ssl_certificate = False\n", s.access, s.secret, s.host(t), s.host(t))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s3cmd{s, conf}
}
func (c s3cmd) run(t *testing.T, args ...string) string {
	t.Helper()
	return c.s.tool(t, "s3cmd", append([]string{"-c", c.conf, "--no-progress"}, args...)...)
}
func (c s3cmd) makeBucket(t *testing.T, b string) { c.run(t, "mb", "s3://"+b) }
func (c s3cmd) upload(t *testing.T, file, b, k string) {
	c.run(t, "put", "--quiet", file, "s3://"+b+"/"+k)
}
func (c s3cmd) download(t *testing.T, b, k, file string) {
	c.run(t, "get", "--quiet", "s3://"+b+"/"+k, file)
}
func (c s3cmd) remove(t *testing.T, b, k string) { c.run(t, "rm", "--quiet", "s3://"+b+"/"+k) }
func (c s3cmd) count(t *testing.T, b, prefix string) int {
	return strings.Count(c.run(t, "ls", "--recursive", "s3://"+b+"/"+prefix), "s3://")
}

// rclone is Debian's rclone.
type rclone struct {
	s    *site
	conf string
}

func newRclone(t *testing.T, s *site) rclone {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "rclone.conf")
	text := fmt.Sprintf("[o]\ntype = s3\nprovider = Other\naccess_key_id = %s\nsecret_access_key = %s\nendpoint = %s\nregion = us-east-1\n", s.access, s.secret, s.endpoint)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return rclone{s, conf}
}
func (c rclone) run(t *testing.T, args ...string) string {
	t.Helper()
	return c.s.tool(t, "rclone", append([]string{"--config", c.conf, "--retries", "1"}, args...)...)
}
func (c rclone) makeBucket(t *testing.T, b string) { c.run(t, "mkdir", "o:"+b) }
func (c rclone) upload(t *testing.T, file, b, k string) {
	c.run(t, "copyto", file, "o:"+b+"/"+k)
}
func (c rclone) download(t *testing.T, b, k, file string) {
	c.run(t, "copyto", "o:"+b+"/"+k, file)
}
func (c rclone) remove(t *testing.T, b, k string) { c.run(t, "deletefile", "o:"+b+"/"+k) }
func (c rclone) count(t *testing.T, b, prefix string) int {
	return len(strings.Fields(c.run(t, "lsf", "-R", "--files-only", "o:"+b+"/"+prefix)))
}

// sdk is aws-sdk-go-v2 with its defaults: checksums in trailers, multipart by the manager.
type sdk struct{ c *awss3.Client }

func newSDK(s *site) sdk {
	return sdk{awss3.New(awss3.Options{BaseEndpoint: &s.endpoint, Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.access, s.secret, "")})}
}
func (c sdk) makeBucket(t *testing.T, b string) {
	t.Helper()
	if _, err := c.c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &b}); err != nil {
		t.Fatal(err)
	}
}
func (c sdk) upload(t *testing.T, file, b, k string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := manager.NewUploader(c.c).Upload(t.Context(), &awss3.PutObjectInput{Bucket: &b, Key: &k, Body: f}); err != nil {
		t.Fatal(err)
	}
}
func (c sdk) download(t *testing.T, b, k, file string) {
	t.Helper()
	out, err := c.c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &b, Key: &k})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	save(t, file, out.Body)
}
func (c sdk) remove(t *testing.T, b, k string) {
	t.Helper()
	if _, err := c.c.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &b, Key: &k}); err != nil {
		t.Fatal(err)
	}
}
func (c sdk) count(t *testing.T, b, prefix string) (n int) {
	t.Helper()
	for p := awss3.NewListObjectsV2Paginator(c.c, &awss3.ListObjectsV2Input{Bucket: &b, Prefix: &prefix}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Contents)
	}
	return n
}

// mc is minio-go with its defaults: streaming signatures, multipart above 16 MiB.
type mc struct{ c *minio.Client }

func newMinio(t *testing.T, s *site) mc {
	t.Helper()
	c, err := minio.New(s.host(t), &minio.Options{Creds: miniocreds.NewStaticV4(s.access, s.secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath})
	if err != nil {
		t.Fatal(err)
	}
	return mc{c}
}
func (c mc) makeBucket(t *testing.T, b string) {
	t.Helper()
	if err := c.c.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
}
func (c mc) upload(t *testing.T, file, b, k string) {
	t.Helper()
	if _, err := c.c.FPutObject(t.Context(), b, k, file, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}
func (c mc) download(t *testing.T, b, k, file string) {
	t.Helper()
	if err := c.c.FGetObject(t.Context(), b, k, file, minio.GetObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}
func (c mc) remove(t *testing.T, b, k string) {
	t.Helper()
	if err := c.c.RemoveObject(t.Context(), b, k, minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}
func (c mc) count(t *testing.T, b, prefix string) (n int) {
	t.Helper()
	for o := range c.c.ListObjects(t.Context(), b, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		n++
	}
	return n
}

func save(t *testing.T, name string, r io.Reader) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, r); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
