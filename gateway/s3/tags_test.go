package s3

import (
	"net/url"
	"testing"
)

// FuzzTagging reads any x-amz-tagging header: what it accepts is a tag set, and comes back from its own encoding.
func FuzzTagging(f *testing.F) {
	f.Add("a=b&c=d%20e")
	f.Add("a=b&a=c")
	f.Add("%zz=&=&aws:x=1")
	f.Fuzz(func(t *testing.T, v string) {
		tags, err := ParseTagging(v)
		if err != nil {
			return
		}
		if err := CheckTags(tags, MaxObjectTags); err != nil {
			t.Fatalf("%q gives %v: %v", v, tags, err)
		}
		again := ""
		for _, tag := range tags {
			again += url.QueryEscape(tag.Key) + "=" + url.QueryEscape(tag.Value) + "&"
		}
		back, err := ParseTagging(again)
		if err != nil || len(back) != len(tags) {
			t.Fatalf("%q gives %v, then %v, %v", v, tags, back, err)
		}
		for i := range tags {
			if tags[i] != back[i] {
				t.Fatalf("%q gives %v, then %v", v, tags, back)
			}
		}
	})
}
