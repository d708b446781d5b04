package kill

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"ostor/gateway/intent"
)

// TestKilledWhileDeletingBuckets kills the process, gateway and all, in the middle of deletions of buckets, and starts it anew: within the bound of interrupted operations every bucket is gone or takes
// writes on all name servers, and what was acknowledged is gone. It waits for that bound, so it runs with OSTOR_CRASH=long only; every step of it is tried in process by integration/s3.
func TestKilledWhileDeletingBuckets(t *testing.T) {
	if os.Getenv("OSTOR_CRASH") != "long" {
		t.Skip("waits for half a minute in each round: OSTOR_CRASH=long")
	}
	t.Parallel()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	rng := rand.New(rand.NewPCG(s, 13))
	dir := filepath.Join(t.TempDir(), "d")
	interrupted := 0
	for round := range 3 {
		srv, _ := start(t, dir)
		const buckets, workers = 48, 8
		name := func(i int) string { return fmt.Sprintf("round-%d-%d", round, i) }
		for i := range buckets {
			if _, err := srv.s3.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String(name(i))}); err != nil {
				t.Fatal(err)
			}
		}
		var gone [buckets]atomic.Bool
		var acked atomic.Int64
		stopAt := int64(4 + rng.IntN(24))
		reached := make(chan struct{})
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := w; i < buckets; i += workers {
					if _, err := srv.s3.DeleteBucket(t.Context(), &awss3.DeleteBucketInput{Bucket: aws.String(name(i))}); err != nil {
						return // killed
					}
					gone[i].Store(true)
					if acked.Add(1) == stopAt {
						close(reached)
					}
				}
			})
		}
		<-reached
		srv.kill()
		wg.Wait()

		srv, _ = start(t, dir)
		begun := time.Now()
		for pass := 0; ; pass++ {
			closed := 0
			for i := range buckets {
				switch state, err := bucketState(t, srv, name(i)); {
				case err != nil:
					t.Fatalf("seed %d, round %d: %v", s, round, err)
				case state == "usable" && gone[i].Load():
					t.Errorf("seed %d, round %d: bucket %d was acknowledged as deleted and is there", s, round, i)
				case state == "closed":
					closed++
				}
			}
			if pass == 0 {
				interrupted += closed
			}
			if closed == 0 {
				break
			}
			if time.Since(begun) > 4*intent.Bound { // the machine may be slow
				t.Fatalf("seed %d, round %d: after %v %d buckets are still closed", s, round, time.Since(begun), closed)
			}
			time.Sleep(time.Second) // for what happens in another process
		}
		t.Logf("round %d: settled after %v", round, time.Since(begun).Round(time.Second))
		srv.kill()
	}
	t.Logf("%d deletions were interrupted between their steps", interrupted)
}

// bucketState returns "gone", "usable" or "closed" (on some name server).
func bucketState(t *testing.T, srv *server, bucket string) (string, error) {
	for i := range 6 {
		_, err := srv.s3.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: aws.String(fmt.Sprintf("dir-%d/x", i)), Body: strings.NewReader("x")})
		var missing *types.NoSuchBucket
		var api smithy.APIError
		switch {
		case errors.As(err, &missing), errors.As(err, &api) && api.ErrorCode() == "NoSuchBucket":
			return "gone", nil
		case errors.As(err, &api) && api.ErrorCode() == "ServiceUnavailable":
			return "closed", nil
		case err != nil:
			return "", err
		}
	}
	return "usable", nil
}
