package s3

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDecodeXML(t *testing.T) {
	t.Parallel()
	const good = `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet><Object><Key>a&amp;b</Key></Object></Delete>`
	for _, tc := range []struct {
		name, text string
		want       error
	}{
		{"good", good, nil},
		{"declaration", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + good + "\n<!-- bye -->\n", nil},
		{"no name space", strings.Replace(good, ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`, "", 1), nil},
		{"prefix", `<s:Delete xmlns:s="x"><s:Quiet>true</s:Quiet><s:Object><s:Key>a&#38;b</s:Key></s:Object></s:Delete>`, nil},
		{"empty", "", ErrMissingRequestBody},
		{"space", "  \n", ErrMalformedXML},
		{"text", "hello", ErrMalformedXML},
		{"not closed", good[:len(good)-1], ErrMalformedXML},
		{"closed in the wrong order", "<Delete><Object><Key>x</Object></Key></Delete>", ErrMalformedXML},
		{"text behind", good + "junk", ErrMalformedXML},
		{"second root", good + good, ErrMalformedXML},
		{"NUL behind", good + "\x00", ErrMalformedXML},
		{"document type", `<!DOCTYPE Delete>` + good, ErrMalformedXML},
		{"entity", `<!DOCTYPE d [<!ENTITY e "x">]><Delete><Object><Key>&e;</Key></Object></Delete>`, ErrMalformedXML},
		{"expanding entities", `<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>`, ErrMalformedXML},
		{"external entity", `<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>`, ErrMalformedXML},
		{"unknown entity", `<Delete><Object><Key>&nbsp;</Key></Object></Delete>`, ErrMalformedXML},
		{"charset", `<?xml version="1.0" encoding="ISO-8859-1"?>` + good, ErrMalformedXML},
		{"wrong UTF-8", "<Delete><Object><Key>\xff</Key></Object></Delete>", ErrMalformedXML},
		{"control character", "<Delete><Object><Key>\x01</Key></Object></Delete>", ErrMalformedXML},
		{"processing instruction", `<?php x ?>` + good, ErrMalformedXML},
		{"declaration in the middle", `<Delete><?xml version="1.0"?></Delete>`, ErrMalformedXML},
		{"17 levels", strings.Repeat("<a>", 17) + strings.Repeat("</a>", 17), ErrMalformedXML},
		{"100k levels", strings.Repeat("<a>", 100000), ErrMalformedXML},
		{"not boolean", "<Delete><Quiet>maybe</Quiet></Delete>", ErrMalformedXML},
		{"too long", "<Delete>" + strings.Repeat("<!-- -->", 100000) + "</Delete>", ErrMaxMessageLengthExceeded},
		{"long space behind", good + strings.Repeat(" \n<!-- -->", 100000), ErrMaxMessageLengthExceeded},
		{"space without end behind", good + strings.Repeat(" ", 100000), ErrMalformedXML},
		{"tag without end", "<Delete " + strings.Repeat(`a="" `, 20000) + "/>", ErrMalformedXML},
		{"text without end", "<Delete><Object><Key>" + strings.Repeat("k", 100000) + "</Key></Object></Delete>", ErrMalformedXML},
		{"comment without end", "<Delete><!--" + strings.Repeat("-", 100000), ErrMalformedXML},
		{"long text of references", "<Delete><Quiet>true</Quiet><Object><Key>a&amp;b</Key><ETag>" + strings.Repeat("&#x00000041;", 1024) + "</ETag></Object></Delete>", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var d Delete
			err := DecodeXML(strings.NewReader(tc.text), 400000, &d)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if err == nil && (!d.Quiet || len(d.Objects) != 1 || d.Objects[0].Key != "a&b") {
				t.Errorf("got %+v", d)
			}
		})
	}
	// The parts of a document are bounded, not only its bytes: these made structs of a hundred bytes out of seven each.
	for name, tc := range map[string]struct {
		text string
		v    any
	}{"parts": {"<CompleteMultipartUpload>" + strings.Repeat("<Part/>", 1<<20) + "</CompleteMultipartUpload>", new(CompleteMultipartUpload)}, "objects": {"<Delete>" + strings.Repeat("<Object/>", 800_000) + "</Delete>", new(Delete)}} {
		if err := DecodeXML(strings.NewReader(tc.text), 8<<20, tc.v); !errors.Is(err, ErrMalformedXML) {
			t.Errorf("a million %s: %v", name, err)
		}
	}
	most := "<CompleteMultipartUpload>" + strings.Repeat("<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>a</ChecksumCRC32><ChecksumSHA256>a</ChecksumSHA256></Part>", 10_000) + "</CompleteMultipartUpload>"
	if err := DecodeXML(strings.NewReader(most), 8<<20, new(CompleteMultipartUpload)); err != nil {
		t.Errorf("10,000 parts: %v", err)
	}
	// What the body says about itself comes before what the parser says.
	bad := io.MultiReader(strings.NewReader("<Delete>"), iotest.ErrReader(ErrBadDigest))
	if err := DecodeXML(bad, 100, new(Delete)); !errors.Is(err, ErrBadDigest) {
		t.Errorf("got %v, want BadDigest", err)
	}
	b := NewBody(strings.NewReader(good), BodyOptions{Size: int64(len(good)), MD5: make([]byte, 16)})
	if err := DecodeXML(b, 1000, new(Delete)); !errors.Is(err, ErrBadDigest) {
		t.Errorf("a document with a wrong Content-MD5: %v", err)
	}
	if err := DecodeXML(strings.NewReader(good), int64(len(good)), new(Delete)); err != nil {
		t.Errorf("of exactly the limit: %v", err)
	}
	if err := DecodeXML(strings.NewReader(good), int64(len(good))-1, new(Delete)); !errors.Is(err, ErrMaxMessageLengthExceeded) {
		t.Errorf("one byte over the limit: %v", err)
	}
}

// documents are the types of all documents that requests have: a new one belongs here.
func documents() []any {
	return []any{new(Delete), new(CompleteMultipartUpload), new(CreateBucketConfiguration), new(VersioningConfiguration), new(Tagging), new(CORSConfiguration),
		new(LockConfiguration), new(ObjectRetention), new(LegalHold), new(OwnershipControls), new(PublicAccessBlock), new(RequestPaymentConfiguration)}
}

// FuzzDecodeXML reads any text as every document: it ends with an S3 error, or with a document that its check can judge.
func FuzzDecodeXML(f *testing.F) {
	for _, text := range []string{
		`<?xml version="1.0"?><Delete><Object><Key>x</Key></Object></Delete>`,
		`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"x"</ETag></Part></CompleteMultipartUpload>`,
		`<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>`,
		`<Tagging xmlns="x"><TagSet><Tag><Key>a</Key><Value>&#98;</Value></Tag></TagSet></Tagging>`,
		`<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><MaxAgeSeconds>-1</MaxAgeSeconds></CORSRule></CORSConfiguration>`,
		`<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>9999999999</Years></DefaultRetention></Rule></ObjectLockConfiguration>`,
		`<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>`,
		`<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>`,
		`<PublicAccessBlockConfiguration><BlockPublicAcls>TRUE</BlockPublicAcls></PublicAccessBlockConfiguration>`,
		`<AccessControlPolicy><Owner><ID>0</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>u</URI></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, v := range documents() {
			if err := DecodeXML(strings.NewReader(text), 1<<16, v); err != nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Fatalf("%v is not an S3 error", err)
				}
				continue
			}
			switch v := v.(type) {
			case interface{ Check() error }:
				_ = v.Check() // must not panic
			case *Tagging:
				if v.TagSet != nil {
					_ = CheckTags(v.TagSet.Tags, MaxBucketTags)
				}
			}
		}
		a, err := ParseACL([]byte(text))
		for _, g := range a.Grants {
			if err == nil && (g.ID != "") == (g.Email != "") && (g.ID != "") == (g.URI != "") {
				t.Fatalf("a grant to nobody, or to two: %+v", g)
			}
		}
	})
}
