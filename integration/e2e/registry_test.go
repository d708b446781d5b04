package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// registry does what a container registry's S3 storage does to push images: a blob arrives in pieces of a resumable upload, each request finding the running upload again by listing; when it is
// complete it moves from its upload's name to its digest, by UploadPartCopy of ranges above a threshold and by CopyObject below it; manifests are small objects that are walked by listings.
func registry(t *testing.T, s *site) {
	r := registryStore{t, newSDK(s), "registry"}
	r.c.makeBucket(t, r.bucket)
	const root = "docker/registry/v2/"
	rng := rand.NewChaCha8([32]byte{11})
	blobs := map[string][]byte{}
	for i, size := range []int{100, 5 << 20, 12<<20 + 17, 33 << 20} {
		body := make([]byte, size)
		_, _ = rng.Read(body)
		from := fmt.Sprintf("%srepositories/app/_uploads/upload-%d/data", root, i)
		for at := 0; at < size; at += 6 << 20 { // as PATCH requests bring it
			r.append(from, body[at:min(at+6<<20, size)])
		}
		r.commit(from)
		sum := sha256.Sum256(body)
		digest := hex.EncodeToString(sum[:])
		to := fmt.Sprintf("%sblobs/sha256/%s/%s/data", root, digest[:2], digest)
		r.move(from, to, 8<<20)
		blobs[to] = body
		r.put(fmt.Sprintf("%srepositories/app/_layers/sha256/%s/link", root, digest), []byte("sha256:"+digest))
	}
	for name, want := range blobs {
		if got := r.get(name, ""); !bytes.Equal(got, want) {
			t.Errorf("blob of %d bytes came back with %d, or others", len(want), len(got))
		}
		if got := r.get(name, fmt.Sprintf("bytes=%d-", len(want)/2)); !bytes.Equal(got, want[len(want)/2:]) {
			t.Errorf("the second half of a blob of %d bytes: %d bytes, or others", len(want), len(got))
		}
	}
	if dirs, files := r.list(root + "repositories/app/_layers/sha256/"); len(dirs) != len(blobs) || len(files) != 0 {
		t.Errorf("the layers are %q and %q, want %d directories", dirs, files, len(blobs))
	}
	if dirs, files := r.list(root + "repositories/app/_uploads/"); len(dirs)+len(files) != 0 {
		t.Errorf("uploads are left: %q %q", dirs, files)
	}
	uploads, err := r.c.c.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &r.bucket})
	if err != nil || len(uploads.Uploads) != 0 {
		t.Errorf("running uploads are left: %+v, %v", uploads.Uploads, err)
	}
	r.removeAll(root)
	if n := r.c.count(t, r.bucket, ""); n != 0 {
		t.Errorf("%d objects after everything was deleted", n)
	}
}

type registryStore struct {
	t      *testing.T
	c      sdk
	bucket string
}

func (r registryStore) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// running finds the upload of a name and its parts; an empty id when there is none.
func (r registryStore) running(name string) (id string, parts []types.CompletedPart, lastSize int64) {
	r.t.Helper()
	out, err := r.c.c.ListMultipartUploads(r.t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &r.bucket, Prefix: &name})
	r.must(err)
	for _, u := range out.Uploads {
		if *u.Key != name {
			continue
		}
		for p := awss3.NewListPartsPaginator(r.c.c, &awss3.ListPartsInput{Bucket: &r.bucket, Key: &name, UploadId: u.UploadId}); p.HasMorePages(); {
			page, err := p.NextPage(r.t.Context())
			r.must(err)
			for _, part := range page.Parts {
				parts, lastSize = append(parts, types.CompletedPart{PartNumber: part.PartNumber, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32}), *part.Size
			}
		}
		return *u.UploadId, parts, lastSize
	}
	return "", nil, 0
}

// append adds bytes to the running upload of a name, or begins one.
func (r registryStore) append(name string, b []byte) {
	r.t.Helper()
	id, parts, _ := r.running(name)
	if id == "" {
		out, err := r.c.c.CreateMultipartUpload(r.t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &r.bucket, Key: &name, ContentType: ptr("application/octet-stream")})
		r.must(err)
		id = *out.UploadId
	}
	number := int32(len(parts) + 1)
	_, err := r.c.c.UploadPart(r.t.Context(), &awss3.UploadPartInput{Bucket: &r.bucket, Key: &name, UploadId: &id, PartNumber: &number, Body: bytes.NewReader(b)})
	r.must(err)
}

// commit completes the running upload of a name.
func (r registryStore) commit(name string) {
	r.t.Helper()
	id, parts, _ := r.running(name)
	_, err := r.c.c.CompleteMultipartUpload(r.t.Context(), &awss3.CompleteMultipartUploadInput{Bucket: &r.bucket, Key: &name, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	r.must(err)
}

// move copies and deletes; S3 cannot rename.
func (r registryStore) move(from, to string, threshold int64) {
	r.t.Helper()
	head, err := r.c.c.HeadObject(r.t.Context(), &awss3.HeadObjectInput{Bucket: &r.bucket, Key: &from})
	r.must(err)
	source := r.bucket + "/" + url.PathEscape(from)
	if size := *head.ContentLength; size <= threshold {
		_, err := r.c.c.CopyObject(r.t.Context(), &awss3.CopyObjectInput{Bucket: &r.bucket, Key: &to, CopySource: &source})
		r.must(err)
	} else {
		up, err := r.c.c.CreateMultipartUpload(r.t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &r.bucket, Key: &to})
		r.must(err)
		parts := make([]types.CompletedPart, (size+threshold-1)/threshold)
		parallel(r.t, len(parts), func(i int) error {
			number, first := int32(i+1), int64(i)*threshold
			out, err := r.c.c.UploadPartCopy(r.t.Context(), &awss3.UploadPartCopyInput{Bucket: &r.bucket, Key: &to, UploadId: up.UploadId, PartNumber: &number, CopySource: &source,
				CopySourceRange: ptr(fmt.Sprintf("bytes=%d-%d", first, min(first+threshold, size)-1))})
			if err == nil {
				parts[i] = types.CompletedPart{PartNumber: &number, ETag: out.CopyPartResult.ETag, ChecksumCRC32: out.CopyPartResult.ChecksumCRC32}
			}
			return err
		})
		_, err = r.c.c.CompleteMultipartUpload(r.t.Context(), &awss3.CompleteMultipartUploadInput{Bucket: &r.bucket, Key: &to, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
		r.must(err)
	}
	r.c.remove(r.t, r.bucket, from)
}

func (r registryStore) put(name string, b []byte) {
	r.t.Helper()
	_, err := r.c.c.PutObject(r.t.Context(), &awss3.PutObjectInput{Bucket: &r.bucket, Key: &name, Body: bytes.NewReader(b)})
	r.must(err)
}

func (r registryStore) get(name, byteRange string) []byte {
	r.t.Helper()
	in := &awss3.GetObjectInput{Bucket: &r.bucket, Key: &name}
	if byteRange != "" {
		in.Range = &byteRange
	}
	out, err := r.c.c.GetObject(r.t.Context(), in)
	r.must(err)
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	r.must(err)
	return b
}

// list returns the directories and files of a directory.
func (r registryStore) list(dir string) (dirs, files []string) {
	r.t.Helper()
	for p := awss3.NewListObjectsV2Paginator(r.c.c, &awss3.ListObjectsV2Input{Bucket: &r.bucket, Prefix: &dir, Delimiter: ptr("/"), MaxKeys: ptr(int32(3))}); p.HasMorePages(); {
		page, err := p.NextPage(r.t.Context())
		r.must(err)
		for _, c := range page.CommonPrefixes {
			dirs = append(dirs, *c.Prefix)
		}
		for _, o := range page.Contents {
			files = append(files, *o.Key)
		}
	}
	return dirs, files
}

// removeAll deletes everything below a directory, a page at a time.
func (r registryStore) removeAll(dir string) {
	r.t.Helper()
	for {
		page, err := r.c.c.ListObjectsV2(r.t.Context(), &awss3.ListObjectsV2Input{Bucket: &r.bucket, Prefix: &dir, MaxKeys: ptr(int32(3))})
		r.must(err)
		if len(page.Contents) == 0 {
			return
		}
		var ids []types.ObjectIdentifier
		for _, o := range page.Contents {
			ids = append(ids, types.ObjectIdentifier{Key: o.Key})
		}
		out, err := r.c.c.DeleteObjects(r.t.Context(), &awss3.DeleteObjectsInput{Bucket: &r.bucket, Delete: &types.Delete{Objects: ids, Quiet: ptr(true)}})
		r.must(err)
		if len(out.Errors) > 0 {
			r.t.Fatalf("DeleteObjects: %+v", out.Errors)
		}
	}
}
