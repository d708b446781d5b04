package wire

import "ostor/internal/cluster"

// AppendUpload adds the reply of GetUpload.
func AppendUpload(b []byte, v *cluster.Upload) []byte { return appendUpload(b, v) }

// DecodeUpload reads the reply of GetUpload.
func DecodeUpload(b []byte) (v cluster.Upload, err error) {
	d := decoder{b: b}
	readUpload(&d, &v)
	return v, d.end()
}

// AppendPartsQuery adds the request of Parts.
func AppendPartsQuery(b []byte, v *PartsQuery) []byte { return appendPartsQuery(b, v) }

// DecodePartsQuery reads the request of Parts.
func DecodePartsQuery(b []byte) (v PartsQuery, err error) {
	d := decoder{b: b}
	readPartsQuery(&d, &v)
	return v, d.end()
}

func appendPartsQuery(b []byte, v *PartsQuery) []byte {
	b = appendU64(b, uint64(v.Bucket))
	b = append(b, v.Table[:]...)
	b = appendI64(b, v.Offset)
	b = appendInt(b, v.Limit)
	b = appendString(b, v.Key)
	return b
}

func readPartsQuery(d *decoder, v *PartsQuery) {
	v.Bucket = cluster.BucketID(d.u64())
	v.Table = d.id()
	v.Offset = d.i64()
	v.Limit = d.int()
	v.Key = d.string()
}

// AppendParts adds the reply of Parts and ListParts.
func AppendParts(b []byte, v *Parts) []byte { return appendParts(b, v) }

// DecodeParts reads the reply of Parts and ListParts.
func DecodeParts(b []byte) (v Parts, err error) {
	d := decoder{b: b}
	readParts(&d, &v)
	return v, d.end()
}

func appendParts(b []byte, v *Parts) []byte {
	b = appendBool(b, v.More)
	b = appendPartList(b, v.Parts)
	return b
}

func readParts(d *decoder, v *Parts) {
	v.More = d.bool()
	v.Parts = list(d, minPart, readPart)
}

// AppendNewUpload adds the request of CreateUpload.
func AppendNewUpload(b []byte, v *NewUpload) []byte { return appendNewUpload(b, v) }

// DecodeNewUpload reads the request of CreateUpload.
func DecodeNewUpload(b []byte) (v NewUpload, err error) {
	d := decoder{b: b}
	readNewUpload(&d, &v)
	return v, d.end()
}

func appendNewUpload(b []byte, v *NewUpload) []byte {
	b = appendU64(b, uint64(v.Bucket))
	b = appendUpload(b, &v.Upload)
	return b
}

func readNewUpload(d *decoder, v *NewUpload) {
	v.Bucket = cluster.BucketID(d.u64())
	readUpload(d, &v.Upload)
}

// AppendUploadRef adds the request of GetUpload and AbortUpload.
func AppendUploadRef(b []byte, v *UploadRef) []byte { return appendUploadRef(b, v) }

// DecodeUploadRef reads the request of GetUpload and AbortUpload.
func DecodeUploadRef(b []byte) (v UploadRef, err error) {
	d := decoder{b: b}
	readUploadRef(&d, &v)
	return v, d.end()
}

func appendUploadRef(b []byte, v *UploadRef) []byte {
	b = appendU64(b, uint64(v.Bucket))
	b = append(b, v.ID[:]...)
	b = appendString(b, v.Key)
	return b
}

func readUploadRef(d *decoder, v *UploadRef) {
	v.Bucket = cluster.BucketID(d.u64())
	v.ID = d.id()
	v.Key = d.string()
}

// AppendNewPart adds the request of PutPart.
func AppendNewPart(b []byte, v *NewPart) []byte { return appendNewPart(b, v) }

// DecodeNewPart reads the request of PutPart.
func DecodeNewPart(b []byte) (v NewPart, err error) {
	d := decoder{b: b}
	readNewPart(&d, &v)
	return v, d.end()
}

func appendNewPart(b []byte, v *NewPart) []byte {
	b = appendUploadRef(b, &v.Upload)
	b = appendPart(b, &v.Part)
	return b
}

func readNewPart(d *decoder, v *NewPart) {
	readUploadRef(d, &v.Upload)
	readPart(d, &v.Part)
}

// AppendUploadPartsQuery adds the request of ListParts.
func AppendUploadPartsQuery(b []byte, v *UploadPartsQuery) []byte {
	return appendUploadPartsQuery(b, v)
}

// DecodeUploadPartsQuery reads the request of ListParts.
func DecodeUploadPartsQuery(b []byte) (v UploadPartsQuery, err error) {
	d := decoder{b: b}
	readUploadPartsQuery(&d, &v)
	return v, d.end()
}

func appendUploadPartsQuery(b []byte, v *UploadPartsQuery) []byte {
	b = appendUploadRef(b, &v.Upload)
	b = appendU32(b, uint32(v.After))
	b = appendInt(b, v.Limit)
	return b
}

func readUploadPartsQuery(d *decoder, v *UploadPartsQuery) {
	readUploadRef(d, &v.Upload)
	v.After = d.i32()
	v.Limit = d.int()
}

// AppendListUploadsRequest adds the request of ListUploads.
func AppendListUploadsRequest(b []byte, v *cluster.ListUploadsRequest) []byte {
	return appendListUploadsRequest(b, v)
}

// DecodeListUploadsRequest reads the request of ListUploads.
func DecodeListUploadsRequest(b []byte) (v cluster.ListUploadsRequest, err error) {
	d := decoder{b: b}
	readListUploadsRequest(&d, &v)
	return v, d.end()
}

func appendListUploadsRequest(b []byte, v *cluster.ListUploadsRequest) []byte {
	b = appendU64(b, uint64(v.Bucket))
	b = appendInt(b, v.Limit)
	b = append(b, v.UploadMarker[:]...)
	b = appendString(b, v.Prefix)
	b = appendString(b, v.Delimiter)
	b = appendString(b, v.KeyMarker)
	return b
}

func readListUploadsRequest(d *decoder, v *cluster.ListUploadsRequest) {
	v.Bucket = cluster.BucketID(d.u64())
	v.Limit = d.int()
	v.UploadMarker = d.id()
	v.Prefix = d.string()
	v.Delimiter = d.string()
	v.KeyMarker = d.string()
}

// AppendUploadPage adds the reply of ListUploads.
func AppendUploadPage(b []byte, v *cluster.UploadPage) []byte { return appendUploadPage(b, v) }

// DecodeUploadPage reads the reply of ListUploads.
func DecodeUploadPage(b []byte) (v cluster.UploadPage, err error) {
	d := decoder{b: b}
	readUploadPage(&d, &v)
	return v, d.end()
}

func appendUploadPage(b []byte, v *cluster.UploadPage) []byte {
	b = appendBool(b, v.More)
	b = append(b, v.NextUpload[:]...)
	b = appendString(b, v.NextKey)
	b = appendStrings(b, v.Prefixes)
	b = appendCount(b, len(v.Uploads))
	for i := range v.Uploads {
		b = appendUpload(b, &v.Uploads[i])
	}
	return b
}

func readUploadPage(d *decoder, v *cluster.UploadPage) {
	v.More = d.bool()
	v.NextUpload = d.id()
	v.NextKey = d.string()
	v.Prefixes = d.strings()
	v.Uploads = list(d, minUpload, readUpload)
}

func appendCompletePart(b []byte, v *cluster.CompletePart) []byte {
	b = appendU32(b, uint32(v.Number))
	b = appendString(b, v.ETag)
	b = appendChecksum(b, &v.Checksum)
	return b
}

func readCompletePart(d *decoder, v *cluster.CompletePart) {
	v.Number = d.i32()
	v.ETag = d.string()
	readChecksum(d, &v.Checksum)
}

// AppendCompleteUpload adds the request of CompleteUpload.
func AppendCompleteUpload(b []byte, v *cluster.CompleteUploadRequest) []byte {
	return appendCompleteUpload(b, v)
}

// DecodeCompleteUpload reads the request of CompleteUpload.
func DecodeCompleteUpload(b []byte) (v cluster.CompleteUploadRequest, err error) {
	d := decoder{b: b}
	readCompleteUpload(&d, &v)
	return v, d.end()
}

func appendCompleteUpload(b []byte, v *cluster.CompleteUploadRequest) []byte {
	b = appendU64(b, uint64(v.Bucket))
	b = append(b, byte(v.Versioning))
	b = append(b, v.ID[:]...)
	b = appendTime(b, v.Modified)
	b = appendString(b, v.Key)
	b = appendString(b, v.ETag)
	b = appendChecksum(b, &v.Checksum)
	b = appendCondition(b, &v.Condition)
	b = appendCount(b, len(v.Parts))
	for i := range v.Parts {
		b = appendCompletePart(b, &v.Parts[i])
	}
	return b
}

func readCompleteUpload(d *decoder, v *cluster.CompleteUploadRequest) {
	v.Bucket = cluster.BucketID(d.u64())
	v.Versioning = cluster.Versioning(d.u8())
	v.ID = d.id()
	v.Modified = d.time()
	v.Key = d.string()
	v.ETag = d.string()
	readChecksum(d, &v.Checksum)
	readCondition(d, &v.Condition)
	v.Parts = list(d, minComplete, readCompletePart)
}
