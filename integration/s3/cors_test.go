package s3

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ostor/gateway"
)

const corsXML = `<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<CORSRule><ID>one</ID><AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>Content-Type</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds></CORSRule>
<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`

func TestCORS(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	s.bucket("box")
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "x"})
	ask4 := func(origin, method, headers string) ask {
		a := ask{method: "OPTIONS", target: "/box/key", anonymous: true}
		for name, v := range map[string]string{"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers} {
			if v != "" {
				a.header = append(a.header, name+": "+v)
			}
		}
		return a
	}
	nothing := map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": ""}
	named := map[string]string{"Access-Control-Allow-Origin": "https://a.example.com", "Access-Control-Allow-Methods": "GET, PUT", "Access-Control-Expose-Headers": "ETag", "Access-Control-Max-Age": "60", "Access-Control-Allow-Credentials": "true"}
	preflighted := map[string]string{"Access-Control-Allow-Headers": "content-type, x-amz-date", "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"}
	for k, v := range named {
		preflighted[k] = v
	}
	put := func(conf string) ask { return ask{method: "PUT", target: "/box?cors", body: conf} }
	rule := func(inner string) ask {
		return put("<CORSConfiguration><CORSRule>" + inner + "</CORSRule></CORSConfiguration>")
	}
	s.run([]step{
		// A bucket without a configuration is open to pages of all origins, and not to anonymous callers.
		{ask: ask{method: "GET", target: "/box?cors"}, status: 404, code: "NoSuchCORSConfiguration"},
		{ask: ask4("https://x.test", "DELETE", "x-anything"), status: 200, headers: map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "x-anything", "Access-Control-Allow-Credentials": ""}},
		{ask: ask{method: "GET", target: "/box/key", anonymous: true, header: []string{"Origin: https://x.test"}}, status: 403, code: "AccessDenied", headers: map[string]string{"Access-Control-Allow-Origin": "*"}},
		{ask: ask{method: "GET", target: "/box/key"}, status: 200, headers: nothing},

		{ask: put(corsXML), status: 200},
		{ask: ask{method: "GET", target: "/box?cors"}, status: 200, has: []string{"<ID>one</ID>", "<AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>Content-Type</AllowedHeader><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedOrigin>https://*.example.com</AllowedOrigin><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds>"}},
		{ask: ask4("https://a.example.com", "PUT", "content-type, X-Amz-Date"), status: 200, headers: preflighted},
		{ask: ask4("https://a.example.com", "PUT", "content-type"+strings.Repeat(",content-type", 127)), status: 200},
		{ask: ask4("https://a.example.com", "PUT", "content-type"+strings.Repeat(",content-type", 128)), status: 403, code: "AccessForbidden", headers: nothing},
		{ask: ask4("https://a.example.com", "PUT", "authorization"), status: 403, code: "AccessForbidden", headers: nothing},
		{ask: ask4("https://a.example.com", "DELETE", ""), status: 403, code: "AccessForbidden"},
		{ask: ask4("https://evil.test/.example.com/", "PUT", ""), status: 403, code: "AccessForbidden"},
		{ask: ask4("https://x.test", "GET", ""), status: 200, headers: map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET", "Access-Control-Allow-Credentials": ""}},
		{ask: ask4("", "GET", ""), status: 400, code: "BadRequest"},
		{ask: ask4("https://x.test", "", ""), status: 400, code: "BadRequest"},
		{ask: ask4("https://x.test", "PATCH", ""), status: 400, code: "BadRequest"},
		{ask: ask{method: "GET", target: "/box/key", header: []string{"Origin: https://a.example.com"}}, status: 200, has: []string{"x"}, headers: named},
		{ask: ask{method: "GET", target: "/box/none", header: []string{"Origin: https://a.example.com"}}, status: 404, code: "NoSuchKey", headers: named},
		{ask: ask{method: "DELETE", target: "/box/none", header: []string{"Origin: https://a.example.com"}}, status: 204, headers: nothing},

		{ask: put("<CORSConfiguration/>"), status: 400, code: "MalformedXML"},
		{ask: rule("<AllowedOrigin>*</AllowedOrigin>"), status: 400, code: "MalformedXML"},
		{ask: rule("<AllowedMethod>GET</AllowedMethod>"), status: 400, code: "MalformedXML"},
		{ask: rule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>"), status: 400, code: "InvalidRequest"},
		{ask: rule("<AllowedOrigin>http://*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"), status: 400, code: "InvalidRequest"},
		{ask: rule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>x-*</ExposeHeader>"), status: 400, code: "InvalidRequest"},
		{ask: rule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>x&#10;y</ExposeHeader>"), status: 400, code: "InvalidRequest"},
		{ask: put("<CORSConfiguration>" + strings.Repeat("<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>", 101) + "</CORSConfiguration>"), status: 400, code: "MalformedXML"},
		{ask: ask{method: "PUT", target: "/box?cors", body: corsXML, who: &s.bob}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "GET", target: "/box?cors", anonymous: true}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "DELETE", target: "/box?cors", who: &s.carol}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "DELETE", target: "/box?cors"}, status: 204},
		{ask: ask{method: "GET", target: "/box?cors"}, status: 404, code: "NoSuchCORSConfiguration"},
		{ask: ask{method: "OPTIONS", target: "/none/key", anonymous: true, header: []string{"Origin: https://x.test", "Access-Control-Request-Method: GET"}}, status: 404, code: "NoSuchBucket"},
	})
}

// TestCORSWithoutDefault has a gateway that lets pages of no origin in unless a bucket says so: the question about a presigned URL, which is anonymous, as any other.
func TestCORSWithoutDefault(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.bucket("box")
	gw, err := gateway.New(gateway.Options{Topology: s.topology, Accounts: s.accounts, DefaultCORS: func() bool { return false }})
	s.must(err)
	strict := httptest.NewServer(gw)
	t.Cleanup(strict.Close)
	s.server = strict
	for _, method := range []string{"GET", "PUT"} {
		signed, _, err := signer().PresignHTTP(t.Context(), credentials(&s.alice), s.request(ask{method: method, target: "/box/foo?X-Amz-Expires=1000"}), "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now())
		s.must(err)
		_, query, _ := strings.Cut(signed, "?")
		page := []string{"Origin: example", "Access-Control-Request-Method: " + method}
		question := ask{method: "OPTIONS", target: "/box/foo?" + query, anonymous: true, header: page}
		nothing := map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": ""}
		s.run([]step{
			{ask: ask{method: "OPTIONS", target: question.target, anonymous: true}, status: 400, code: "BadRequest"},
			{ask: question, status: 403, code: "AccessForbidden", headers: nothing},
			{ask: ask{method: "GET", target: "/box", header: page[:1]}, status: 200, headers: nothing},
			{ask: ask{method: "PUT", target: "/box?cors", body: "<CORSConfiguration><CORSRule><AllowedOrigin>example</AllowedOrigin><AllowedMethod>" + method + "</AllowedMethod></CORSRule></CORSConfiguration>"}, status: 200},
			{ask: question, status: 200, headers: map[string]string{"Access-Control-Allow-Origin": "example", "Access-Control-Allow-Methods": method}},
			{ask: ask{method: "DELETE", target: "/box?cors"}, status: 204},
		})
	}
}
