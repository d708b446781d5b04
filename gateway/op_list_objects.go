package gateway

import (
	"encoding/base64"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// maxListKeys is S3's page size: the default of max-keys and its most.
const maxListKeys = 1000

// listObjects answers ListObjects and ListObjectsV2 (API reference).
func (g *Gateway) listObjects(c *call) error {
	if c.wantsPage() {
		return g.listPage(c)
	}
	q := c.query
	head := s3.ListHead{Bucket: c.bucket, Prefix: q.get("prefix"), Delimiter: q.get("delimiter"), V2: c.op == opListObjectsV2}
	var err error
	if head.URLEncode, err = q.encodingURL(); err != nil {
		return err
	}
	if head.MaxKeys, err = q.count("max-keys", maxListKeys, maxListKeys); err != nil {
		return err
	}
	if v := c.header("X-Amz-Optional-Object-Attributes"); v != "" && v != "RestoreStatus" {
		return badArgument("x-amz-optional-object-attributes", v, "The only optional attribute is RestoreStatus.") // nothing is ever archived, so RestoreStatus is never there
	}
	var after string
	withOwner := true
	if head.V2 {
		head.StartAfter, head.Token = q.get("start-after"), q.get("continuation-token")
		after = head.StartAfter
		head.HasToken = q.has("continuation-token")
		if head.Token != "" { // an empty one begins at the beginning, and is shown
			if after, err = decodeToken(head.Token); err != nil {
				return err
			}
		}
		withOwner = q.get("fetch-owner") == "true"
	} else {
		head.Marker = q.get("marker")
		after = head.Marker
	}

	var page listed
	if head.MaxKeys > 0 {
		page, err = g.list(c.r.Context(), cluster.ListRequest{Bucket: c.bkt.ID, Prefix: head.Prefix, Delimiter: head.Delimiter, After: after, Limit: head.MaxKeys})
		if err != nil {
			return err
		}
	}
	head.Truncated = page.more
	head.KeyCount = len(page.entries) + len(page.prefixes)
	if page.more && head.V2 {
		head.NextToken = encodeToken(page.last)
	} else if page.more && head.Delimiter != "" {
		head.NextMarker = page.last // without a delimiter the last key is the next marker, and S3 says nothing
	}
	return c.replyXML(func(x *s3.XML) {
		head.Begin(x)
		var o s3.ListedObject
		var owner s3.Owner
		var ownerID cluster.UserID
		for _, e := range page.entries {
			o = s3.ListedObject{Key: e.Key, Modified: e.Modified, ETag: e.ETag, Size: e.Size, StorageClass: storageClass(e.StorageClass)}
			if e.Checksum.Algorithm != cluster.ChecksumNone {
				o.Checksum, o.ChecksumType = algorithmName(e.Checksum.Algorithm), checksumType(e.Checksum)
			}
			if withOwner {
				if o.Owner = &owner; owner.ID == "" || ownerID != e.Owner {
					ownerID, owner = e.Owner, c.owner(e.Owner)
				}
			}
			x.Object(&o, head.URLEncode)
		}
		for _, p := range page.prefixes {
			x.CommonPrefix(p, head.URLEncode)
		}
		x.Close("ListBucketResult")
	})
}

// A continuation token is the last name given out behind a version byte, in base64: opaque to clients, and no name server has to remember it.
const tokenVersion = '1'

func encodeToken(last string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{tokenVersion}, last...))
}

func decodeToken(token string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 2 || b[0] != tokenVersion {
		return "", badArgument("continuation-token", token, "The continuation token provided is incorrect")
	}
	return string(b[1:]), nil
}
