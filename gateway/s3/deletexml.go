package s3

// Delete is the request body of DeleteObjects.
type Delete struct {
	Quiet   bool           `xml:"Quiet"`
	Objects []DeleteObject `xml:"Object"`
}

// DeleteObject names one object of a [Delete]. The conditions are those of a single conditional delete.
type DeleteObject struct {
	Key              string  `xml:"Key"`
	VersionID        string  `xml:"VersionId"`
	ETag             string  `xml:"ETag"`
	LastModifiedTime string  `xml:"LastModifiedTime"`
	Size             *string `xml:"Size"`
}

// DeletedObject is what became of one object of a [Delete].
type DeletedObject struct {
	Key                   string
	VersionID             string // as asked
	DeleteMarker          bool
	DeleteMarkerVersionID string
	Err                   *Error // nil: deleted
	Message               string // of Err
}

// WriteDeleteResult writes the reply of DeleteObjects: everything, or only the errors when quiet.
func WriteDeleteResult(x *XML, done []DeletedObject, quiet bool) {
	x.Begin("DeleteResult")
	for i := range done {
		d := &done[i]
		switch {
		case d.Err != nil:
			x.Open("Error")
			x.Text("Key", d.Key)
			x.Optional("VersionId", d.VersionID)
			x.Text("Code", d.Err.Code)
			x.Text("Message", d.Message)
			x.Close("Error")
		case !quiet:
			x.Open("Deleted")
			x.Text("Key", d.Key)
			x.Optional("VersionId", d.VersionID)
			if d.DeleteMarker {
				x.Bool("DeleteMarker", true)
				x.Optional("DeleteMarkerVersionId", d.DeleteMarkerVersionID)
			}
			x.Close("Deleted")
		}
	}
	x.Close("DeleteResult")
}
