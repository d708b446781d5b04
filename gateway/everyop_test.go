package gateway

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// everyOperation returns a request for each operation that the tables know, but for forms, whose credentials are in the body, and preflights, which have none.
func everyOperation() map[operation]ask {
	all := map[operation]ask{}
	add := func(table map[string]verbs, path string) {
		for name, v := range table {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete} {
				op := v.of(method)
				if op == opNone || op == opNotImplemented || op == opPostObject {
					continue
				}
				target := path
				if name != "" {
					target += "?" + name
				}
				all[op] = ask{method: method, target: target}
			}
		}
	}
	add(serviceVerbs, "/")
	add(bucketVerbs, "/box")
	add(objectVerbs, "/box/key")
	all[opListObjectsV2] = ask{method: "GET", target: "/box?list-type=2"}
	all[opCopyObject] = ask{method: "PUT", target: "/box/key", header: []string{"X-Amz-Copy-Source: box/other"}}
	all[opUploadPartCopy] = ask{method: "PUT", target: "/box/key?uploadId=1&partNumber=1", header: []string{"X-Amz-Copy-Source: box/other"}}
	return all
}

// TestEveryOperationIsTried: the table of the tests below misses none.
func TestEveryOperationIsTried(t *testing.T) {
	t.Parallel()
	all := everyOperation()
	for op := opNone + 1; op < opCount; op++ {
		if _, ok := all[op]; !ok && op != opPostObject && op != opPreflight {
			t.Errorf("%s is not tried", op)
		}
	}
}

// TestNothingIsTakenSilently: an option that this server does not have is NotImplemented in every operation, whatever the operation would do with it in S3.
func TestNothingIsTakenSilently(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	tried := 0
	for op, a := range everyOperation() {
		given := a.header
		for name := range refusedHeaders {
			a.header = append(slices.Clone(given), name+": x")
			got := s.do(a)
			if got.status != 501 || a.method != "HEAD" && (got.code() != "NotImplemented" || !strings.Contains(got.body, strings.ToLower(name))) {
				t.Errorf("%s with %s: %d %s", op, name, got.status, got.body)
			}
			tried++
		}
		a.key = "-"
		if got := s.do(a); got.status != 403 && got.status != 501 { // 501 where the object's own list decides, which nobody has looked at yet
			t.Errorf("%s with an option that is not there, by nobody: %d %s", op, got.status, got.body)
		}
	}
	t.Logf("%d requests", tried)
}

// TestOnlyTheOwnerExpected: x-amz-expected-bucket-owner refuses every operation on another's bucket, and x-amz-request-payer is no obstacle.
func TestOnlyTheOwnerExpected(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	for op, a := range everyOperation() {
		if op.access() == accessAccount {
			continue
		}
		a.header = append(a.header, "X-Amz-Expected-Bucket-Owner: 0000000000000b0b", "X-Amz-Request-Payer: requester")
		if got := s.do(a); got.status != 403 || a.method != "HEAD" && got.code() != "AccessDenied" {
			t.Errorf("%s: %d %s", op, got.status, got.body)
		}
	}
	s.want(200, "", ask{method: "GET", target: "/box", header: []string{"X-Amz-Expected-Bucket-Owner: 00000000000a11ce", "X-Amz-Request-Payer: requester"}})
}

// TestNobodyPassesUnseen: no operation is reached with a signature that does not hold, with a key that is not known, in an unknown way, or by nobody where nothing is public.
func TestNobodyPassesUnseen(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	scope := "/20300101/us-east-1/s3/aws4_request"
	for op, a := range everyOperation() {
		given := a.header
		for _, header := range []string{
			"Authorization: AWS " + alice + ":c2lnbmF0dXJl", "Authorization: AWS4-HMAC-SHA256 Credential=" + alice + scope + ", SignedHeaders=host, Signature=" + strings.Repeat("0", 64),
			"Authorization: AWS AKNOBODY:c2lnbmF0dXJl", "Authorization: Basic eDp5", "Authorization: ", "",
		} {
			a.key = "-"
			if a.header = slices.Clone(given); header != "" {
				a.header = append(a.header, header, "Date: Tue, 27 Mar 2007 19:36:42 +0000")
			}
			if got := s.do(a); got.status/100 != 4 || got.status == 404 || got.status == 405 {
				t.Errorf("%s with %q: %d %s", op, header, got.status, got.body)
			}
		}
	}
}

// TestOneWayToHandlers reads the source: the table of handlers is used in Gateway.serve and nowhere else, and there after authenticate and enter.
func TestOneWayToHandlers(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	packages, err := parser.ParseDir(files, ".", nil, 0) //nolint:staticcheck // no build tags here
	if err != nil {
		t.Fatal(err)
	}
	uses := 0
	for name, file := range packages["gateway"].Files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			var authenticated, entered bool
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					authenticated = authenticated || n.Sel.Name == "authenticate"
					entered = entered || n.Sel.Name == "enter"
				case *ast.IndexExpr:
					if id, ok := n.X.(*ast.Ident); ok && id.Name == "handlers" {
						if uses++; f.Name.Name != "serve" || !authenticated || !entered {
							t.Errorf("%s: %s takes a handler", files.Position(n.Pos()), f.Name.Name)
						}
					}
				}
				return true
			})
		}
	}
	if uses == 0 {
		t.Error("nobody uses the handlers")
	}
}

// TestCreateBucketWithTags: the tags of the configuration are the bucket's.
func TestCreateBucketWithTags(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	conf := func(tags string) string {
		return "<CreateBucketConfiguration><Tags>" + tags + "</Tags></CreateBucketConfiguration>"
	}
	s.want(200, "", ask{method: "PUT", target: "/box", body: conf("<Tag><Key>team</Key><Value>red</Value></Tag>")})
	if got := s.want(200, "", ask{method: "GET", target: "/box?tagging"}); !strings.Contains(got.body, "<Key>team</Key><Value>red</Value>") {
		t.Errorf("got %s", got.body)
	}
	s.want(400, "InvalidTag", ask{method: "PUT", target: "/other", body: conf("<Tag><Key>aws:x</Key><Value>red</Value></Tag>")})
	s.want(409, "BucketAlreadyOwnedByYou", ask{method: "PUT", target: "/box", body: conf("<Tag><Key>team</Key><Value>blue</Value></Tag>")})
	s.want(200, "", ask{method: "PUT", target: "/box", body: conf("<Tag><Key>team</Key><Value>red</Value></Tag>")})
	s.want(501, "NotImplemented", ask{method: "PUT", target: "/third", body: "<CreateBucketConfiguration><Bucket><Type>Directory</Type></Bucket></CreateBucketConfiguration>"})
}
