package conform

import (
	"fmt"
	"strings"
)

// objects makes an object of every key, its content the key.
func objects(keys ...string) []step {
	var steps []step
	for _, k := range keys {
		steps = append(steps, put("/{b}/"+escape(k), k))
	}
	return steps
}

// listed is a listing by both versions: query without list-type, the keys and common prefixes in order, and what else the document shows.
func listed(query string, keys, prefixes []string, more ...string) []step {
	var steps []step
	for _, v := range []string{"", "list-type=2"} {
		st := get("/{b}?" + strings.Trim(v+"&"+query, "&")).shows("<ListBucketResult").shows(more...)
		var doc strings.Builder
		for _, k := range keys {
			doc.WriteString("<Key>" + k + "</Key>\n")
		}
		for _, p := range prefixes {
			doc.WriteString("<CommonPrefixes><Prefix>" + p + "</Prefix></CommonPrefixes>\n")
		}
		for part := range strings.Lines(doc.String()) {
			st = st.shows(strings.TrimSuffix(part, "\n"))
		}
		if len(keys) == 0 {
			st.hasNot = append(st.hasNot, "<Contents>")
		}
		if len(prefixes) == 0 {
			st.hasNot = append(st.hasNot, "<CommonPrefixes>")
		}
		if v != "" {
			st = st.shows(fmt.Sprintf("<KeyCount>%d</KeyCount>", len(keys)+len(prefixes)))
		}
		st.counts = []count{{"<Contents>", len(keys)}, {"<CommonPrefixes>", len(prefixes)}}
		steps = append(steps, st)
	}
	return steps
}

func join(parts ...[]step) []step {
	var all []step
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func listCases() section {
	four := objects("bar", "baz", "cab", "foo")
	quux := objects("bar", "baz", "foo", "quxx")
	tree := objects("asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla")
	bag := objects("b/a/c", "b/a/g", "b/a/r", "g")
	none := []string(nil)
	plain := []string{"<IsTruncated>false</IsTruncated>", "<MaxKeys>1000</MaxKeys>", "<Name>{b}</Name>"}
	return section{"list", []testCase{
		{"empty", listed("", none, none, plain...)},
		{"flat", join(quux, listed("", []string{"bar", "baz", "foo", "quxx"}, none, plain...), []step{
			get("/{b}").shows("<Marker></Marker>", "<Prefix></Prefix>", "<Owner><ID>{main}</ID>", "<StorageClass>STANDARD</StorageClass>", "<Size>3</Size>", "<ETag>"+strings.ReplaceAll(barETag, `"`, "&quot;")+"</ETag>").hides("<Delimiter>", "<NextMarker>", "<EncodingType>"),
			get("/{b}?list-type=2").shows("<Prefix></Prefix>").hides("<Owner>", "<Delimiter>", "<StartAfter>", "<ContinuationToken>", "<NextContinuationToken>"),
			get("/{b}?list-type=2&fetch-owner=true").shows("<Owner><ID>{main}</ID>"), get("/{b}?list-type=2&fetch-owner=false").hides("<Owner>"),
		})},
		{"pages", join(quux, []step{
			get("/{b}?max-keys=2").shows("<Key>bar</Key>", "<Key>baz</Key>", "<IsTruncated>true</IsTruncated>", "<MaxKeys>2</MaxKeys>").hides("<Key>foo</Key>", "<NextMarker>"),
			get("/{b}?max-keys=2&marker=baz").shows("<Key>foo</Key>", "<Key>quxx</Key>", "<IsTruncated>false</IsTruncated>", "<Marker>baz</Marker>").hides("<Key>baz</Key>"),
			get("/{b}?max-keys=0").shows("<IsTruncated>false</IsTruncated>").hides("<Contents>"), get("/{b}?list-type=2&max-keys=0").shows("<KeyCount>0</KeyCount>", "<IsTruncated>false</IsTruncated>").hides("<Contents>"),
			get("/{b}?max-keys=5000").shows("<MaxKeys>1000</MaxKeys>"), get("/{b}?max-keys=").shows("<MaxKeys>1000</MaxKeys>"),
			get("/{b}?max-keys=blah").fails(400, "InvalidArgument"), get("/{b}?max-keys=-1").fails(400, "InvalidArgument"), get("/{b}?max-keys=2147483648").fails(400, "InvalidArgument"), get("/{b}?max-keys=%201").fails(400, "InvalidArgument"),
			get("/{b}?list-type=2&max-keys=1").shows("<Key>bar</Key>", "<IsTruncated>true</IsTruncated>").save("token=NextContinuationToken"),
			get("/{b}?list-type=2&continuation-token={token}").shows("<ContinuationToken>{token}</ContinuationToken>", "<Key>baz</Key>", "<Key>quxx</Key>").hides("<Key>bar</Key>", "<NextContinuationToken>"),
			get("/{b}?list-type=2&continuation-token=").shows("<ContinuationToken></ContinuationToken>", "<Key>bar</Key>", "<IsTruncated>false</IsTruncated>"),
			get("/{b}?list-type=2&continuation-token=guess").fails(400, "InvalidArgument"),
			get("/{b}?list-type=2&start-after=bar&max-keys=1").shows("<StartAfter>bar</StartAfter>", "<Key>baz</Key>").save("token=NextContinuationToken"),
			get("/{b}?list-type=2&start-after=bar&continuation-token={token}").shows("<StartAfter>bar</StartAfter>", "<ContinuationToken>{token}</ContinuationToken>", "<Key>foo</Key>", "<Key>quxx</Key>").hides("<Key>baz</Key>"),
			get("/{b}?list-type=2&start-after=blah").shows("<Key>foo</Key>").hides("<Key>baz</Key>"), get("/{b}?marker=blah").shows("<Key>foo</Key>", "<Marker>blah</Marker>").hides("<Key>baz</Key>"),
			get("/{b}?list-type=2&start-after=zzz").shows("<StartAfter>zzz</StartAfter>", "<KeyCount>0</KeyCount>").hides("<Contents>"), get("/{b}?marker=zzz").shows("<IsTruncated>false</IsTruncated>").hides("<Contents>"),
			get("/{b}?marker=%0A&encoding-type=url").shows("<Marker>%0A</Marker>", "<Key>bar</Key>"), get("/{b}?list-type=2&start-after=%0A&encoding-type=url").shows("<StartAfter>%0A</StartAfter>", "<Key>bar</Key>"),
			get("/{b}?list-type=1").fails(400, "InvalidArgument"), get("/{b}?list-type=2").by(alt).fails(403, "AccessDenied"), get("/{b}").by(nobody).fails(403, "AccessDenied"), get("/{b}?encoding-type=base64").fails(400, "InvalidArgument"),
			get("/{b}").with("x-amz-optional-object-attributes: RestoreStatus"), get("/{b}").with("x-amz-optional-object-attributes: Colour").fails(400, "InvalidArgument"),
		})},
		{"prefix", join(objects("foo/bar", "foo/baz", "quux"), listed("prefix=foo/", []string{"foo/bar", "foo/baz"}, none, "<Prefix>foo/</Prefix>"), listed("prefix=d", none, none, "<Prefix>d</Prefix>"),
			listed("prefix=", []string{"foo/bar", "foo/baz", "quux"}, none), listed("prefix=%0A&encoding-type=url", none, none, "<EncodingType>url</EncodingType>"), []step{
				get("/{b}?list-type=2&prefix=%0A&encoding-type=url").shows("<Prefix>%0A</Prefix>"), get("/{b}?prefix=%0A&encoding-type=url").shows("<Prefix>&#xa;</Prefix>"), get("/{b}?prefix=%C3%BC&encoding-type=url").shows("<Prefix>\u00fc</Prefix>"),
				get("/{b}?prefix=a%2Bb&encoding-type=url").shows("<Prefix>a%2Bb</Prefix>"), get("/{b}?prefix=a%25b&encoding-type=url").shows("<Prefix>a%25b</Prefix>"), get("/{b}?prefix=%01&encoding-type=url").shows("<Prefix>%01</Prefix>"),
			})},
		{"delimiter", join(objects("foo/bar", "foo/bar/xyzzy", "quux/thud", "asdf"), listed("delimiter=/", []string{"asdf"}, []string{"foo/", "quux/"}, "<Delimiter>/</Delimiter>"),
			listed("delimiter=", []string{"asdf", "foo/bar", "foo/bar/xyzzy", "quux/thud"}, none), listed("delimiter=/&prefix=foo/", []string{"foo/bar"}, []string{"foo/bar/"}), listed("delimiter=z&prefix=foo", []string{"foo/bar"}, []string{"foo/bar/xyz"}),
			listed("delimiter=ar/&prefix=f", []string{"foo/bar"}, []string{"foo/bar/"}))},
		{"other delimiters", join(four, listed("delimiter=a", []string{"foo"}, []string{"ba", "ca"}, "<Delimiter>a</Delimiter>"), listed("delimiter=/", []string{"bar", "baz", "cab", "foo"}, none, "<Delimiter>/</Delimiter>"),
			listed("delimiter=%0A&encoding-type=url", []string{"bar", "baz", "cab", "foo"}, none, "<Delimiter>%0A</Delimiter>"))},
		{"percent, blank, dot", join(objects("b%ar", "b%az", "c%ab", "b ar", "b az", "c ab", "b.ar", "b.az", "c.ab", "foo"),
			listed("delimiter=%25", []string{"b ar", "b az", "b.ar", "b.az", "c ab", "c.ab", "foo"}, []string{"b%", "c%"}, "<Delimiter>%</Delimiter>"),
			listed("delimiter=%20&prefix=c", []string{"c%ab", "c.ab"}, []string{"c "}), listed("delimiter=.&prefix=c", []string{"c ab", "c%ab"}, []string{"c."}))},
		{"alt", join(objects("bar", "bazar", "cab", "foo"), listed("delimiter=a&prefix=ba", []string{"bar"}, []string{"baza"}, "<Prefix>ba</Prefix>"))},
		{"nothing there", join(bag, listed("delimiter=d&prefix=/", none, none), listed("delimiter=z&prefix=b", []string{"b/a/c", "b/a/g", "b/a/r"}, none), listed("delimiter=z&prefix=y", none, none))},
		{"ends with delimiter", join(objects("asdf/"), listed("delimiter=/&prefix=asdf/", []string{"asdf/"}, none), listed("delimiter=/&prefix=asdf", none, []string{"asdf/"}))},
		{"url encoding", join(objects("foo+1/bar", "foo/bar/xyzzy", "quux ab/thud", "asdf+b"), listed("delimiter=/&encoding-type=url", []string{"asdf%2Bb"}, []string{"foo%2B1/", "foo/", "quux%20ab/"}, "<Delimiter>/</Delimiter>", "<EncodingType>url</EncodingType>"))},
		{"prefixes page by page", join(tree, []step{
			get("/{b}?delimiter=/&max-keys=1").shows("<Key>asdf</Key>", "<NextMarker>asdf</NextMarker>", "<IsTruncated>true</IsTruncated>").hides("<CommonPrefixes>"),
			get("/{b}?delimiter=/&max-keys=1&marker=asdf").shows("<Prefix>boo/</Prefix>", "<NextMarker>boo/</NextMarker>", "<IsTruncated>true</IsTruncated>").hides("<Contents>", "cquux"),
			get("/{b}?delimiter=/&max-keys=1&marker=boo/").shows("<Prefix>cquux/</Prefix>", "<IsTruncated>false</IsTruncated>").hides("<Contents>", "<NextMarker>"),
			get("/{b}?delimiter=/&max-keys=2").shows("<Key>asdf</Key>", "<Prefix>boo/</Prefix>", "<NextMarker>boo/</NextMarker>"),
			get("/{b}?delimiter=/&prefix=boo/&max-keys=1").shows("<Key>boo/bar</Key>", "<NextMarker>boo/bar</NextMarker>"), get("/{b}?delimiter=/&prefix=boo/&max-keys=1&marker=boo/bar").shows("<Prefix>boo/baz/</Prefix>", "<IsTruncated>false</IsTruncated>"),
			get("/{b}?list-type=2&delimiter=/&max-keys=1&start-after=").shows("<Key>asdf</Key>").save("t=NextContinuationToken"),
			get("/{b}?list-type=2&delimiter=/&max-keys=1&continuation-token={t}").shows("<Prefix>boo/</Prefix>", "<KeyCount>1</KeyCount>").save("t=NextContinuationToken"),
			get("/{b}?list-type=2&delimiter=/&max-keys=1&continuation-token={t}").shows("<Prefix>cquux/</Prefix>", "<IsTruncated>false</IsTruncated>").hides("<NextContinuationToken>"),
		})},
		{"underscores", join(objects("_obj1_", "_under1/bar", "_under1/baz/xyzzy", "_under2/thud", "_under2/bla"), []step{
			get("/{b}?delimiter=/&max-keys=2").shows("<Key>_obj1_</Key>", "<Prefix>_under1/</Prefix>", "<NextMarker>_under1/</NextMarker>"), get("/{b}?delimiter=/&max-keys=2&marker=_under1/").shows("<Prefix>_under2/</Prefix>").hides("<Contents>"),
			get("/{b}?delimiter=/&prefix=_under1/").shows("<Key>_under1/bar</Key>", "<Prefix>_under1/baz/</Prefix>"),
		})},
		{"behind a prefix", join(objects("0/", "0/1000", "0/1001", "0/1998", "1999", "1999#", "1999+", "2000"), listed("delimiter=/", []string{"1999", "1999#", "1999+", "2000"}, []string{"0/"}))},
		{"control characters", []step{
			put("/{b}/a%01b", "x"), get("/{b}?encoding-type=url").shows("<Key>a%01b</Key>"), get("/{b}?list-type=2&encoding-type=url&prefix=a%01").shows("<Key>a%01b</Key>", "<Prefix>a%01</Prefix>"), get("/{b}?versions&encoding-type=url").shows("<Key>a%01b</Key>"),
		}},
	}}
}
