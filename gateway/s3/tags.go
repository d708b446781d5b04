package s3

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tag is one tag of an object or bucket.
type Tag struct {
	Key   string `xml:"Key"`
	Value string `xml:"Value"`
}

// Limits of tag sets (S3 User Guide, "Categorizing your objects using tags").
const (
	MaxObjectTags = 10
	MaxBucketTags = 50

	maxTagKey   = 128 // characters
	maxTagValue = 256
)

// Tagging is the request body of PutObjectTagging and PutBucketTagging. TagSet is nil when it is not there.
type Tagging struct {
	TagSet *struct {
		Tags []Tag `xml:"Tag"`
	} `xml:"TagSet"`
}

// CheckTags returns ErrInvalidTag unless tags is a tag set of at most limit tags.
func CheckTags(tags []Tag, limit int) error {
	if len(tags) > limit {
		if limit == MaxObjectTags {
			return ErrInvalidTag.With("Object tags cannot be greater than 10")
		}
		return ErrInvalidTag.With("Bucket tag count cannot be greater than 50")
	}
	for i := range tags {
		t := &tags[i]
		switch {
		case t.Key == "" || utf8.RuneCountInString(t.Key) > maxTagKey || !tagText(t.Key):
			return ErrInvalidTag.With("The TagKey you have provided is invalid")
		case utf8.RuneCountInString(t.Value) > maxTagValue || !tagText(t.Value):
			return ErrInvalidTag.With("The TagValue you have provided is invalid")
		case len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:"):
			return ErrInvalidTag.With("System tags cannot be added/updated by requester")
		}
		for j := range tags[:i] {
			if tags[j].Key == t.Key {
				return ErrInvalidTag.With("Cannot provide multiple Tags with the same key")
			}
		}
	}
	return nil
}

// tagText reports whether s has only characters that tags may have: letters, digits, spaces and + - = . _ : / @.
func tagText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.M, r) && !unicode.Is(unicode.Z, r) && !strings.ContainsRune("+-=._:/@", r) {
			return false
		}
	}
	return true
}

// ParseTagging reads the value of x-amz-tagging: key=value pairs as in a query. It returns ErrInvalidArgument when they cannot be read and ErrInvalidTag as CheckTags.
func ParseTagging(v string) ([]Tag, error) {
	var tags []Tag
	for pair := range strings.SplitSeq(v, "&") {
		if pair == "" {
			continue
		}
		if len(tags) > MaxObjectTags {
			break
		}
		key, value, _ := strings.Cut(pair, "=")
		key, err1 := url.QueryUnescape(key)
		value, err2 := url.QueryUnescape(value)
		for i := range tags {
			if tags[i].Key == key {
				err1 = ErrInvalidArgument
			}
		}
		if err1 != nil || err2 != nil {
			return nil, ErrInvalidArgument.With("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
		}
		tags = append(tags, Tag{key, value})
	}
	return tags, CheckTags(tags, MaxObjectTags)
}

// WriteTags writes the reply of GetObjectTagging and GetBucketTagging.
func WriteTags(x *XML, tags []Tag) {
	x.Begin("Tagging")
	x.Open("TagSet")
	for i := range tags {
		x.Open("Tag")
		x.Text("Key", tags[i].Key)
		x.Text("Value", tags[i].Value)
		x.Close("Tag")
	}
	x.Close("TagSet")
	x.Close("Tagging")
}
