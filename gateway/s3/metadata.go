package s3

import (
	"net/http"
	"slices"
	"strings"
)

// Field is a header that is kept with an object; the name is lower case.
type Field struct {
	Name, Value string
}

const metaPrefix = "X-Amz-Meta-"

// UserMetadata returns the x-amz-meta-* headers without the prefix, sorted by name; several of one name are joined by commas, as Amazon does. nil when there are
// none. It returns ErrMetadataTooLarge when they exceed MaxMetadataBytes.
func UserMetadata(h http.Header) ([]Field, error) {
	var fields []Field
	total := 0
	for name, values := range h {
		if len(name) <= len(metaPrefix) || name[:len(metaPrefix)] != metaPrefix {
			continue
		}
		f := Field{Name: strings.ToLower(name[len(metaPrefix):]), Value: strings.Join(values, ",")}
		if total += len(f.Name) + len(f.Value); total > MaxMetadataBytes {
			return nil, ErrMetadataTooLarge
		}
		fields = append(fields, f)
	}
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return fields, nil
}
