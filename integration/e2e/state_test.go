package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// state keeps a document as Terraform's S3 backend does with its lock file: a lock is an object made with If-None-Match: *, held by whoever made it, and given back by deleting it. Writers race
// for many rounds; each round has exactly one winner, which adds one to the document. Afterwards they race without a lock, by If-Match on the document's ETag.
func state(t *testing.T, s *site) {
	const writers, rounds, increments = 2, 60, 25
	c := newSDK(s)
	c.makeBucket(t, "state")
	put := func(key, body, ifMatch, ifNoneMatch string) error {
		in := &awss3.PutObjectInput{Bucket: ptr("state"), Key: &key, Body: bytes.NewReader([]byte(body))}
		if ifMatch != "" {
			in.IfMatch = &ifMatch
		}
		if ifNoneMatch != "" {
			in.IfNoneMatch = &ifNoneMatch
		}
		_, err := c.c.PutObject(t.Context(), in)
		return err
	}
	read := func() (serial int, etag string, err error) {
		out, err := c.c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: ptr("state"), Key: ptr("env/terraform.tfstate")})
		if err != nil {
			return 0, "", err
		}
		defer out.Body.Close()
		b, err := io.ReadAll(out.Body)
		if err != nil {
			return 0, "", err
		}
		var doc struct{ Serial int }
		return doc.Serial, *out.ETag, errors.Join(json.Unmarshal(b, &doc))
	}
	document := func(serial int) string { return fmt.Sprintf(`{"serial":%d}`, serial) }
	if err := put("env/terraform.tfstate", document(0), "", "*"); err != nil {
		t.Fatal(err)
	}
	if err := put("env/terraform.tfstate", document(0), "", "*"); !preconditionFailed(err) {
		t.Fatalf("a second first version: %v", err)
	}

	for round := range rounds {
		var mu sync.Mutex
		var winners int
		parallel(t, writers, func(w int) error {
			err := put("env/terraform.tfstate.tflock", fmt.Sprintf(`{"ID":"%d-%d"}`, round, w), "", "*")
			if preconditionFailed(err) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			winners++
			mu.Unlock()
			serial, etag, err := read()
			if err != nil {
				return err
			}
			if serial != round {
				return fmt.Errorf("round %d: the winner reads serial %d", round, serial)
			}
			return put("env/terraform.tfstate", document(serial+1), etag, "")
		})
		if winners != 1 {
			t.Fatalf("round %d has %d winners", round, winners)
		}
		c.remove(t, "state", "env/terraform.tfstate.tflock")
	}

	lost := 0
	var mu sync.Mutex
	parallel(t, writers, func(int) error {
		for done := 0; done < increments; {
			serial, etag, err := read()
			if err != nil {
				return err
			}
			switch err = put("env/terraform.tfstate", document(serial+1), etag, ""); {
			case preconditionFailed(err):
				mu.Lock()
				lost++
				mu.Unlock()
			case err != nil:
				return err
			default:
				done++
			}
		}
		return nil
	})
	serial, _, err := read()
	if want := rounds + writers*increments; err != nil || serial != want {
		t.Errorf("the document ends at serial %d (%v), want %d", serial, err, want)
	}
	t.Logf("%d rounds with a lock, one winner each; %d increments by If-Match, %d attempts lost", rounds, writers*increments, lost)
}

// preconditionFailed says whether a conditional write lost: 412, or 409 when S3 saw both at the same time.
func preconditionFailed(err error) bool {
	var api smithy.APIError
	var resp *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &resp) {
		return false
	}
	return resp.HTTPStatusCode() == http.StatusPreconditionFailed && api.ErrorCode() == "PreconditionFailed" ||
		resp.HTTPStatusCode() == http.StatusConflict && api.ErrorCode() == "ConditionalRequestConflict"
}
