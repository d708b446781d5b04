package gateway

import (
	"net/http"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// call is one S3 request on its way through the gateway, filled step by step in [Gateway.serve]. It belongs to the request's goroutine.
type call struct {
	g  *Gateway
	w  *response
	r  *http.Request // &req
	id string        // request id

	address
	req   http.Request // the request with body as its Body; net/http goes on with the one that it made
	query query
	op    operation

	who     principal
	body    bodyReader      // the body as it travels
	sig     *s3.Signature   // what authenticate verified; nil of an anonymous request
	bkt     *cluster.Bucket // not modified; nil for operations on the service and CreateBucket
	fresh   bool            // bkt was read from the name server for this request
	form    *postForm       // of POST Object
	rules   *rules          // of bkt
	verdict verdict         // of authorize; byObject and byUpload are for the handler to settle
	opened  *s3.Body        // of openBody
	tagged  bool            // givenTags is filled: of requestedTags
	small   []byte          // a verified small body, kept for a second attempt; a pooled buffer
	release func()          // gives small back at the end of the request

	givenTags    []s3.Tag                       // of the document of PutObjectTagging
	always       []struct{ name, value string } // headers of every reply of this request, errors too
	values       []string                       // backing of reply header values
	errorHeaders []struct{ name, value string }
	cut          bool   // the reply cannot be finished: close the connection
	failure      string // code of the error that the request ended with, "" for none
}

// errorHeader adds a header to the reply if it becomes an error.
func (c *call) errorHeader(name, value string) {
	c.errorHeaders = append(c.errorHeaders, struct{ name, value string }{name, value})
}

// header returns the first value of a request header; name is in canonical form.
func (c *call) header(name string) string {
	if v := c.r.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// names returns the name server of the request's key.
func (c *call) names() (cluster.NameServer, error) {
	return c.g.topology.NameServerFor(c.bkt.ID, c.key)
}

// owner returns a user as replies show it: the id stands for the name of one who is no more, and for all where nobody has said who he is. Names are e-mail addresses.
func (c *call) owner(id cluster.UserID) s3.Owner {
	o := s3.Owner{ID: id.String()}
	if c.who.anonymous {
		o.DisplayName = o.ID
	} else if id == c.who.user && c.who.name != "" {
		o.DisplayName = c.who.name
	} else if o.DisplayName = c.g.displayName(c.r.Context(), id); o.DisplayName == "" {
		o.DisplayName = o.ID
	}
	return o
}
