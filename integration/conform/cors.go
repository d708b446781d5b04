package conform

import (
	"strconv"
	"strings"
)

// corsRules is the document of PutBucketCors: pairs of methods and origins, each a rule.
func corsRules(pairs ...string) string {
	var b strings.Builder
	b.WriteString(`<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	for i := 0; i+1 < len(pairs); i += 2 {
		b.WriteString("<CORSRule>")
		for o := range strings.FieldsSeq(pairs[i+1]) {
			b.WriteString("<AllowedOrigin>" + o + "</AllowedOrigin>")
		}
		for m := range strings.FieldsSeq(pairs[i]) {
			b.WriteString("<AllowedMethod>" + m + "</AllowedMethod>")
		}
		b.WriteString("</CORSRule>")
	}
	return b.String() + "</CORSConfiguration>"
}

// page is a request of a browser's page: what it may read of the reply, "" nothing.
func page(st step, origin, asks, allowed, methods string) step {
	st = st.by(nobody)
	if origin != "" {
		st = st.with("Origin: " + origin)
	}
	if asks != "" {
		st = st.with("Access-Control-Request-Method: " + asks)
	}
	return st.replyHeader("Access-Control-Allow-Origin: "+allowed, "Access-Control-Allow-Methods: "+methods)
}

func corsCases() section {
	options := func(target string) step { return do("OPTIONS", target) }
	origins := []step{
		put("/{b}?acl", "").with("x-amz-acl: public-read"), put("/{b}?cors", corsRules("GET", "*suffix", "GET", "start*end", "GET", "prefix*", "PUT", "*.put")),
		page(get("/{b}"), "", "", "", ""),
	}
	for _, tc := range []struct {
		origin string
		ok     bool
	}{{"foo.suffix", true}, {"foo.bar", false}, {"foo.suffix.get", false}, {"startend", true}, {"start1end", true}, {"start12end", true}, {"0start12end", false}, {"prefix", true}, {"prefix.suffix", true}, {"bla.prefix", false}, {"foo.put", false}} {
		if tc.ok {
			origins = append(origins, page(get("/{b}"), tc.origin, "", tc.origin, "GET"), page(options("/{b}"), tc.origin, "GET", tc.origin, "GET"))
		} else {
			origins = append(origins, page(get("/{b}"), tc.origin, "", "", ""), page(options("/{b}").fails(403, "AccessForbidden"), tc.origin, "GET", "", ""))
		}
	}
	origins = append(origins, page(get("/{b}/bar").fails(404, "NoSuchKey"), "foo.suffix", "", "foo.suffix", "GET"),
		page(put("/{b}/bar", "").fails(403, denied), "foo.suffix", "GET", "foo.suffix", "GET"), page(put("/{b}/bar", "").fails(403, denied), "foo.suffix", "PUT", "", ""), page(put("/{b}/bar", "").fails(403, denied), "foo.suffix", "DELETE", "", ""),
		page(put("/{b}/bar", "").fails(403, denied), "foo.suffix", "", "", ""), page(put("/{b}/bar", "").fails(403, denied), "foo.put", "", "foo.put", "PUT"),
		page(options("/{b}").fails(400, "BadRequest"), "", "", "", ""), page(options("/{b}").fails(400, "BadRequest"), "foo.suffix", "", "", ""), page(options("/{b}").fails(400, "BadRequest"), "bla", "", "", ""),
		page(options("/{b}").fails(400, "BadRequest"), "foo.suffix", "PATCH", "", ""), page(options("/{b}/bar"), "foo.suffix", "GET", "foo.suffix", "GET"), page(options("/{b}/bar"), "foo.put", "PUT", "foo.put", "PUT"))
	rule := func(inner string) step {
		return put("/{b}?cors", "<CORSConfiguration><CORSRule>"+inner+"</CORSRule></CORSConfiguration>")
	}
	const base = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
	return section{"cors", []testCase{
		{"configuration", []step{
			get("/{b}?cors").fails(404, "NoSuchCORSConfiguration"), put("/{b}?cors", corsRules("GET PUT", "*.get *.put")),
			get("/{b}?cors").shows("<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>", "<AllowedOrigin>*.get</AllowedOrigin><AllowedOrigin>*.put</AllowedOrigin>"), del("/{b}?cors"), get("/{b}?cors").fails(404, "NoSuchCORSConfiguration"), del("/{b}?cors"),
			rule("<ID>one</ID>" + base + "<AllowedHeader>x-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds>"), get("/{b}?cors").shows("<ID>one</ID><AllowedHeader>x-*</AllowedHeader>", "<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds>"),
			get("/{b}?cors").by(alt).fails(403, denied), put("/{b}?cors", corsRules("GET", "*")).by(alt).fails(403, denied), do("DELETE", "/{b}?cors").by(nobody).fails(403, denied), get("/{c}?cors").fails(404, "NoSuchBucket"),
			put("/{b}?cors", "<CORSConfiguration/>").fails(400, "MalformedXML"), put("/{b}?cors", "<CORSConfiguration>").fails(400, "MalformedXML"), rule("<AllowedOrigin>*</AllowedOrigin>").fails(400, "MalformedXML"), rule("<AllowedMethod>GET</AllowedMethod>").fails(400, "MalformedXML"),
			rule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>").fails(400, "InvalidRequest"), rule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>get</AllowedMethod>").fails(400, "InvalidRequest"),
			rule("<AllowedOrigin>http://*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>").fails(400, "InvalidRequest"), rule(base+"<AllowedHeader>*-*</AllowedHeader>").fails(400, "InvalidRequest"), rule(base+"<ExposeHeader>x-*</ExposeHeader>").fails(400, "InvalidRequest"),
			rule(base+"<MaxAgeSeconds>-1</MaxAgeSeconds>").fails(400, "MalformedXML"), rule("<ID>"+strings.Repeat("i", 256)+"</ID>"+base).fails(400, "MalformedXML"),
			put("/{b}?cors", "<CORSConfiguration>"+strings.Repeat("<CORSRule>"+base+"</CORSRule>", 101)+"</CORSConfiguration>").fails(400, "MalformedXML"), get("/{b}?cors").shows("<ID>one</ID>"),
		}},
		{"origins", origins},
		{"any origin", []step{put("/{b}?acl", "").with("x-amz-acl: public-read"), put("/{b}?cors", corsRules("GET", "*")), page(get("/{b}"), "", "", "", ""), page(get("/{b}"), "example.origin", "", "*", "GET").replyHeader("Access-Control-Allow-Credentials:")}},
		{"headers", []step{
			rule(base + "<ExposeHeader>x-amz-meta-header1</ExposeHeader>"), page(options("/{b}/bar").fails(403, "AccessForbidden"), "example.origin", "GET", "", "").with("Access-Control-Request-Headers: x-amz-meta-header2"),
			page(options("/{b}/bar"), "example.origin", "GET", "*", "GET").replyHeader("Access-Control-Expose-Headers: x-amz-meta-header1", "Access-Control-Max-Age:"),
			rule(base + "<AllowedHeader>x-amz-*</AllowedHeader><MaxAgeSeconds>" + strconv.Itoa(60) + "</MaxAgeSeconds>"),
			page(options("/{b}/bar"), "example.origin", "GET", "*", "GET").with("Access-Control-Request-Headers: X-Amz-Meta-Header2, x-amz-date").replyHeader("Access-Control-Allow-Headers: x-amz-meta-header2, x-amz-date", "Access-Control-Max-Age: 60"),
			page(options("/{b}/bar").fails(403, "AccessForbidden"), "example.origin", "GET", "", "").with("Access-Control-Request-Headers: x-amz-date, authorization"),
			page(options("/{c}/bar").fails(404, "NoSuchBucket"), "example.origin", "GET", "", ""),
		}},
	}}
}
