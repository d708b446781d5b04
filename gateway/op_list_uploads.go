package gateway

import (
	"slices"
	"strings"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// uploadItem is an upload or a common prefix in a merged listing.
type uploadItem struct {
	name   string // key or prefix
	upload *cluster.Upload
}

// listMultipartUploads answers ListMultipartUploads: a page of every name server, merged by key; the uploads of a key come from one server in its order.
func (g *Gateway) listMultipartUploads(c *call) error {
	q := c.query
	result := s3.ListUploadsResult{Bucket: c.bucket, KeyMarker: q.get("key-marker"), UploadIDMarker: q.get("upload-id-marker"), Prefix: q.get("prefix"), Delimiter: q.get("delimiter")}
	var err error
	if result.URLEncode, err = q.encodingURL(); err != nil {
		return err
	}
	if result.MaxUploads, err = q.count("max-uploads", 1000, 1000); err != nil {
		return err
	}
	r := cluster.ListUploadsRequest{Bucket: c.bkt.ID, Prefix: result.Prefix, Delimiter: result.Delimiter, KeyMarker: result.KeyMarker, Limit: result.MaxUploads}
	if v := result.UploadIDMarker; v != "" && result.KeyMarker != "" { // without a key marker it is ignored
		if r.UploadMarker, err = cluster.ParseUploadID(v); err != nil {
			return badArgument("upload-id-marker", v, "Invalid uploadId marker")
		}
	}
	if result.MaxUploads == 0 {
		return c.replyXML(result.Write)
	}
	servers, err := g.topology.NameServers()
	if err != nil {
		return err
	}
	// The first MaxUploads of all the pages are complete: a server that has more has given MaxUploads already.
	var items []uploadItem
	more := false
	for _, ns := range servers {
		page, err := ns.ListUploads(c.r.Context(), r)
		if err != nil {
			return err
		}
		more = more || page.More
		for i := range page.Uploads {
			items = append(items, uploadItem{page.Uploads[i].Key, &page.Uploads[i]})
		}
		for _, p := range page.Prefixes {
			items = append(items, uploadItem{p, nil})
		}
	}
	slices.SortStableFunc(items, func(a, b uploadItem) int { return strings.Compare(a.name, b.name) })
	items = slices.CompactFunc(items, func(a, b uploadItem) bool { return a.name == b.name && a.upload == nil && b.upload == nil })
	if len(items) > result.MaxUploads {
		items, more = items[:result.MaxUploads], true
	}
	for _, it := range items {
		if it.upload == nil {
			result.Prefixes = append(result.Prefixes, it.name)
			continue
		}
		u := it.upload
		result.Uploads = append(result.Uploads, s3.ListedUpload{Key: u.Key, UploadID: u.ID.String(), Initiator: c.owner(u.Owner), Owner: c.owner(u.Template.Owner),
			StorageClass: storageClass(u.Template.StorageClass), Initiated: u.Initiated, Algorithm: algorithmName(u.Template.Checksum.Algorithm), ChecksumType: checksumType(u.Template.Checksum)})
	}
	if more && len(items) > 0 {
		last := items[len(items)-1]
		result.Truncated, result.NextKeyMarker = true, last.name
		if last.upload != nil {
			result.NextUploadID = last.upload.ID.String()
		}
	}
	return c.replyXML(result.Write)
}
