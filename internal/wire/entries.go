package wire

import (
	"time"

	"ostor/internal/cluster"
)

// AppendEntry adds the reply of Lookup, CreateEntry, UpdateEntry and CompleteUpload.
func AppendEntry(b []byte, v *cluster.Entry) []byte { return appendEntry(b, v) }

// DecodeEntry reads the reply of Lookup, CreateEntry, UpdateEntry and CompleteUpload.
func DecodeEntry(b []byte) (v cluster.Entry, err error) {
	d := decoder{b: b}
	readEntry(&d, &v)
	return v, d.end()
}

// AppendLookup adds the request of Lookup.
func AppendLookup(b []byte, v *cluster.LookupRequest) []byte { return appendLookup(b, v) }

// DecodeLookup reads the request of Lookup.
func DecodeLookup(b []byte) (v cluster.LookupRequest, err error) {
	d := decoder{b: b}
	readLookup(&d, &v)
	return v, d.end()
}

// AppendGuard adds the request of Guard.
func AppendGuard(b []byte, v *cluster.Guard) []byte { return appendGuard(b, v) }

// DecodeGuard reads the request of Guard.
func DecodeGuard(b []byte) (v cluster.Guard, err error) {
	d := decoder{b: b}
	readGuard(&d, &v)
	return v, d.end()
}

func appendGuard(b []byte, v *cluster.Guard) []byte {
	b = appendU64(b, uint64(v.Bucket))
	b = appendI64(b, int64(v.Timeout))
	b = appendLink(b, v.Content)
	b = appendString(b, v.Key)
	return b
}

func readGuard(d *decoder, v *cluster.Guard) {
	v.Bucket = cluster.BucketID(d.u64())
	v.Timeout = time.Duration(d.i64())
	v.Content = d.link()
	v.Key = d.string()
}

// AppendCreateEntry adds the request of CreateEntry.
func AppendCreateEntry(b []byte, v *cluster.CreateEntryRequest) []byte {
	return appendCreateEntry(b, v)
}

// DecodeCreateEntry reads the request of CreateEntry.
func DecodeCreateEntry(b []byte) (v cluster.CreateEntryRequest, err error) {
	d := decoder{b: b}
	readCreateEntry(&d, &v)
	return v, d.end()
}

func appendCreateEntry(b []byte, v *cluster.CreateEntryRequest) []byte {
	b = appendU64(b, uint64(v.Bucket))
	b = append(b, byte(v.Versioning))
	b = appendEntry(b, &v.Entry)
	b = appendCondition(b, &v.Condition)
	return b
}

func readCreateEntry(d *decoder, v *cluster.CreateEntryRequest) {
	v.Bucket = cluster.BucketID(d.u64())
	v.Versioning = cluster.Versioning(d.u8())
	readEntry(d, &v.Entry)
	readCondition(d, &v.Condition)
}

// AppendUpdateEntry adds the request of UpdateEntry.
func AppendUpdateEntry(b []byte, v *cluster.UpdateEntryRequest) []byte {
	return appendUpdateEntry(b, v)
}

// DecodeUpdateEntry reads the request of UpdateEntry.
func DecodeUpdateEntry(b []byte) (v cluster.UpdateEntryRequest, err error) {
	d := decoder{b: b}
	readUpdateEntry(&d, &v)
	return v, d.end()
}

func appendUpdateEntry(b []byte, v *cluster.UpdateEntryRequest) []byte {
	b = appendLookup(b, &v.LookupRequest)
	b = appendAttrs(b, v.Set)
	return b
}

func readUpdateEntry(d *decoder, v *cluster.UpdateEntryRequest) {
	readLookup(d, &v.LookupRequest)
	v.Set = list(d, minAttr, readAttr)
}

// AppendDeleteEntry adds the request of DeleteEntry.
func AppendDeleteEntry(b []byte, v *cluster.DeleteEntryRequest) []byte {
	return appendDeleteEntry(b, v)
}

// DecodeDeleteEntry reads the request of DeleteEntry.
func DecodeDeleteEntry(b []byte) (v cluster.DeleteEntryRequest, err error) {
	d := decoder{b: b}
	readDeleteEntry(&d, &v)
	return v, d.end()
}

func appendDeleteEntry(b []byte, v *cluster.DeleteEntryRequest) []byte {
	b = appendLookup(b, &v.LookupRequest)
	b = append(b, byte(v.Versioning))
	b = appendU64(b, uint64(v.Owner))
	b = appendTime(b, v.Modified)
	b = appendCondition(b, &v.Condition)
	return b
}

func readDeleteEntry(d *decoder, v *cluster.DeleteEntryRequest) {
	readLookup(d, &v.LookupRequest)
	v.Versioning = cluster.Versioning(d.u8())
	v.Owner = cluster.UserID(d.u64())
	v.Modified = d.time()
	readCondition(d, &v.Condition)
}

// AppendDeleted adds the reply of DeleteEntry.
func AppendDeleted(b []byte, v *cluster.Deleted) []byte { return appendDeleted(b, v) }

// DecodeDeleted reads the reply of DeleteEntry.
func DecodeDeleted(b []byte) (v cluster.Deleted, err error) {
	d := decoder{b: b}
	readDeleted(&d, &v)
	return v, d.end()
}

func appendDeleted(b []byte, v *cluster.Deleted) []byte {
	b = appendBool(b, v.Found)
	b = appendBool(b, v.DeleteMarker)
	b = appendVersion(b, v.Version)
	b = appendBool(b, v.Null)
	return b
}

func readDeleted(d *decoder, v *cluster.Deleted) {
	v.Found = d.bool()
	v.DeleteMarker = d.bool()
	v.Version = d.version()
	v.Null = d.bool()
}

// AppendListRequest adds the request of List.
func AppendListRequest(b []byte, v *cluster.ListRequest) []byte { return appendListRequest(b, v) }

// DecodeListRequest reads the request of List.
func DecodeListRequest(b []byte) (v cluster.ListRequest, err error) {
	d := decoder{b: b}
	readListRequest(&d, &v)
	return v, d.end()
}

func appendListRequest(b []byte, v *cluster.ListRequest) []byte {
	b = appendU64(b, uint64(v.Bucket))
	b = appendInt(b, v.Limit)
	b = appendString(b, v.Prefix)
	b = appendString(b, v.Delimiter)
	b = appendString(b, v.After)
	return b
}

func readListRequest(d *decoder, v *cluster.ListRequest) {
	v.Bucket = cluster.BucketID(d.u64())
	v.Limit = d.int()
	v.Prefix = d.string()
	v.Delimiter = d.string()
	v.After = d.string()
}

// AppendListVersionsRequest adds the request of ListVersions.
func AppendListVersionsRequest(b []byte, v *cluster.ListVersionsRequest) []byte {
	return appendListVersionsRequest(b, v)
}

// DecodeListVersionsRequest reads the request of ListVersions.
func DecodeListVersionsRequest(b []byte) (v cluster.ListVersionsRequest, err error) {
	d := decoder{b: b}
	readListVersionsRequest(&d, &v)
	return v, d.end()
}

func appendListVersionsRequest(b []byte, v *cluster.ListVersionsRequest) []byte {
	b = appendU64(b, uint64(v.Bucket))
	b = appendInt(b, v.Limit)
	b = appendVersion(b, v.VersionMarker)
	b = appendString(b, v.Prefix)
	b = appendString(b, v.Delimiter)
	b = appendString(b, v.KeyMarker)
	return b
}

func readListVersionsRequest(d *decoder, v *cluster.ListVersionsRequest) {
	v.Bucket = cluster.BucketID(d.u64())
	v.Limit = d.int()
	v.VersionMarker = d.version()
	v.Prefix = d.string()
	v.Delimiter = d.string()
	v.KeyMarker = d.string()
}

// AppendListPage adds the reply of List and ListVersions.
func AppendListPage(b []byte, v *cluster.ListPage) []byte { return appendListPage(b, v) }

// DecodeListPage reads the reply of List and ListVersions.
func DecodeListPage(b []byte) (v cluster.ListPage, err error) {
	d := decoder{b: b}
	readListPage(&d, &v)
	return v, d.end()
}

func appendListPage(b []byte, v *cluster.ListPage) []byte {
	b = appendBool(b, v.More)
	b = appendVersion(b, v.NextVersion)
	b = appendString(b, v.Next)
	b = appendStrings(b, v.Prefixes)
	b = appendCount(b, len(v.Entries))
	for i := range v.Entries {
		b = appendEntry(b, &v.Entries[i])
	}
	return b
}

func readListPage(d *decoder, v *cluster.ListPage) {
	v.More = d.bool()
	v.NextVersion = d.version()
	v.Next = d.string()
	v.Prefixes = d.strings()
	v.Entries = list(d, minEntry, readEntry)
}

// AppendLinks adds the request of DropGuard.
func AppendLinks(b []byte, links []cluster.Link) []byte {
	b = appendCount(b, len(links))
	for _, l := range links {
		b = appendLink(b, l)
	}
	return b
}

// DecodeLinks reads the request of DropGuard.
func DecodeLinks(b []byte) ([]cluster.Link, error) {
	d := decoder{b: b}
	links := list(&d, linkBytes, func(d *decoder, l *cluster.Link) { *l = d.link() })
	return links, d.end()
}

// AppendName adds the request of GetBucket and GetRecord.
func AppendName(b []byte, name string) []byte { return appendString(b, name) }

// DecodeName reads the request of GetBucket and GetRecord.
func DecodeName(b []byte) (string, error) {
	d := decoder{b: b}
	name := d.string()
	return name, d.end()
}
