package s3

import (
	"strings"
	"unicode/utf8"
)

// ErrorReply is an error document. Region, if not empty, tells a client that signed for another region which one to sign for.
type ErrorReply struct {
	Code, Message, Resource, Region, RequestID, HostID string

	// What is not there; left out when empty.
	BucketName, Key, VersionID, UploadID string
}

// Write writes the document. Characters that XML 1.0 cannot have become U+FFFD: a client has to be able to read what is wrong.
func (e *ErrorReply) Write(x *XML) {
	x.BeginBare("Error")
	x.Text("Code", e.Code)
	x.Text("Message", legible(e.Message))
	x.Optional("BucketName", legible(e.BucketName))
	x.Optional("Key", legible(e.Key))
	x.Optional("VersionId", legible(e.VersionID))
	x.Optional("UploadId", legible(e.UploadID))
	x.Optional("Region", e.Region)
	x.Text("Resource", e.Resource)
	x.Text("RequestId", e.RequestID)
	x.Text("HostId", e.HostID)
	x.Close("Error")
}

func legible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return utf8.RuneError
		}
		return r
	}, s)
}
