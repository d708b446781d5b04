package wire

import "ostor/internal/cluster"

// AppendRecord adds the reply of GetRecord.
func AppendRecord(b []byte, v *cluster.Record) []byte { return appendRecord(b, v) }

// DecodeRecord reads the reply of GetRecord.
func DecodeRecord(b []byte) (v cluster.Record, err error) {
	d := decoder{b: b}
	readRecord(&d, &v)
	return v, d.end()
}

// AppendRecordsQuery adds the request of ListRecords.
func AppendRecordsQuery(b []byte, v *RecordsQuery) []byte { return appendRecordsQuery(b, v) }

// DecodeRecordsQuery reads the request of ListRecords.
func DecodeRecordsQuery(b []byte) (v RecordsQuery, err error) {
	d := decoder{b: b}
	readRecordsQuery(&d, &v)
	return v, d.end()
}

func appendRecordsQuery(b []byte, v *RecordsQuery) []byte {
	b = appendInt(b, v.Limit)
	b = appendString(b, v.Prefix)
	b = appendString(b, v.After)
	return b
}

func readRecordsQuery(d *decoder, v *RecordsQuery) {
	v.Limit = d.int()
	v.Prefix = d.string()
	v.After = d.string()
}

// AppendRecords adds the reply of ListRecords.
func AppendRecords(b []byte, v *Records) []byte { return appendRecords(b, v) }

// DecodeRecords reads the reply of ListRecords.
func DecodeRecords(b []byte) (v Records, err error) {
	d := decoder{b: b}
	readRecords(&d, &v)
	return v, d.end()
}

func appendRecords(b []byte, v *Records) []byte {
	b = appendBool(b, v.More)
	b = appendCount(b, len(v.Records))
	for i := range v.Records {
		b = appendRecord(b, &v.Records[i])
	}
	return b
}

func readRecords(d *decoder, v *Records) {
	v.More = d.bool()
	v.Records = list(d, minRecord, readRecord)
}

func appendRecordChange(b []byte, v *cluster.RecordChange) []byte {
	b = appendString(b, v.Name)
	b = appendBytes(b, v.Value)
	b = appendU64(b, uint64(v.Expect))
	return b
}

func readRecordChange(d *decoder, v *cluster.RecordChange) {
	v.Name = d.string()
	v.Value = d.bytes()
	v.Expect = cluster.Epoch(d.u64())
}

// AppendRecordChanges adds the request of ApplyRecords.
func AppendRecordChanges(b []byte, changes []cluster.RecordChange) []byte {
	b = appendCount(b, len(changes))
	for i := range changes {
		b = appendRecordChange(b, &changes[i])
	}
	return b
}

// DecodeRecordChanges reads the request of ApplyRecords.
func DecodeRecordChanges(b []byte) ([]cluster.RecordChange, error) {
	d := decoder{b: b}
	changes := list(&d, minChange, readRecordChange)
	return changes, d.end()
}
