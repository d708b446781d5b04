package s3

// WriteError writes an error document.
func WriteError(x *XML, code, message, resource, requestID, hostID string) {
	x.BeginBare("Error")
	x.Text("Code", code)
	x.Text("Message", message)
	x.Text("Resource", resource)
	x.Text("RequestId", requestID)
	x.Text("HostId", hostID)
	x.Close("Error")
}
