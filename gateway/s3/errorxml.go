package s3

// ErrorReply is an error document. Region, if not empty, tells a client that signed for another region which one to sign for.
type ErrorReply struct {
	Code, Message, Resource, Region, RequestID, HostID string
}

// Write writes the document.
func (e *ErrorReply) Write(x *XML) {
	x.BeginBare("Error")
	x.Text("Code", e.Code)
	x.Text("Message", e.Message)
	x.Optional("Region", e.Region)
	x.Text("Resource", e.Resource)
	x.Text("RequestId", e.RequestID)
	x.Text("HostId", e.HostID)
	x.Close("Error")
}
