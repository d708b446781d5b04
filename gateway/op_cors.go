package gateway

import (
	"net/http"
	"strconv"
	"strings"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// maxCORSXML is S3's bound of a configuration.
const maxCORSXML = 64 << 10

// maxRequestHeaders is more than a page sends. Each is compared with all that a configuration allows: thousands, and the question is anybody's.
const maxRequestHeaders = 128

// defaultCORS is the configuration of buckets that have none, unless it is switched off: pages of any origin, without the browser's credentials.
var defaultCORS = &s3.CORSConfiguration{Rules: []s3.CORSRule{{
	Origins: []string{"*"}, Methods: []string{"GET", "PUT", "HEAD", "POST", "DELETE"}, Headers: []string{"*"},
	Expose: []string{"ETag", "Accept-Ranges", "Content-Range", "x-amz-request-id", "x-amz-version-id", "x-amz-delete-marker"},
}}}

// corsOf returns the rules of a bucket, nil when there are none.
func (g *Gateway) corsOf(b *cluster.Bucket) (*s3.CORSConfiguration, error) {
	v := attr(b.Attrs, cluster.AttrCORS)
	switch {
	case v != nil:
		return decodeCORS(v)
	case !g.defaultCORS():
		return nil, nil
	}
	return defaultCORS, nil
}

// preflight answers OPTIONS: the question of a browser whether a page may make a request. It is anonymous and says nothing about the object.
func (g *Gateway) preflight(c *call) error {
	origin, method := c.header("Origin"), c.header("Access-Control-Request-Method")
	if origin == "" {
		return s3.ErrBadRequest.With("Insufficient information. Origin request header needed.")
	}
	switch method {
	case "GET", "PUT", "HEAD", "POST", "DELETE":
	default:
		return s3.ErrBadRequest.With("Invalid Access-Control-Request-Method: " + strconv.Quote(method))
	}
	if c.bucket == "" {
		return s3.ErrCORSNotEnabled
	}
	if err := s3.CheckBucketName(c.bucket); err != nil {
		return err
	}
	b, err := g.bucket(c.r.Context(), c.bucket)
	if err != nil {
		return err
	}
	conf, err := g.corsOf(b)
	if err != nil {
		return err
	}
	if conf == nil {
		return s3.ErrCORSNotEnabled
	}
	var headers []string
	for _, v := range c.r.Header["Access-Control-Request-Headers"] {
		for h := range strings.SplitSeq(v, ",") {
			if h = strings.ToLower(strings.TrimSpace(h)); h != "" {
				headers = append(headers, h)
			}
		}
	}
	if len(headers) > maxRequestHeaders {
		return s3.ErrCORSNotAllowed
	}
	rule, pattern := conf.Match(origin, method, headers)
	if rule == nil {
		return s3.ErrCORSNotAllowed
	}
	c.allowOrigin(rule, pattern, origin)
	c.standardHeaders()
	if len(headers) > 0 {
		c.set("Access-Control-Allow-Headers", strings.Join(headers, ", "))
	}
	return c.replyEmpty(http.StatusOK)
}

// crossOrigin gives the reply, whatever it will be, the headers that let a page of another origin read it, when the bucket's rules allow it.
func (c *call) crossOrigin() error {
	origin := c.header("Origin")
	if origin == "" || c.bkt == nil {
		return nil
	}
	conf, err := c.g.corsOf(c.bkt)
	if err != nil || conf == nil {
		return err
	}
	method := c.header("Access-Control-Request-Method") // of a page that asks and does in one
	if method == "" {
		method = c.r.Method
	}
	if rule, pattern := conf.Match(origin, method, nil); rule != nil {
		c.allowOrigin(rule, pattern, origin)
		c.standardHeaders()
	}
	return nil
}

// allowOrigin notes the headers for every reply of this request. An origin that is named, and not just any, may use the browser's credentials.
func (c *call) allowOrigin(rule *s3.CORSRule, pattern, origin string) {
	add := func(name, value string) {
		c.always = append(c.always, struct{ name, value string }{name, value})
	}
	if pattern == "*" {
		add("Access-Control-Allow-Origin", "*")
	} else {
		add("Access-Control-Allow-Origin", origin)
		add("Access-Control-Allow-Credentials", "true")
	}
	add("Access-Control-Allow-Methods", strings.Join(rule.Methods, ", "))
	if len(rule.Expose) > 0 {
		add("Access-Control-Expose-Headers", strings.Join(rule.Expose, ", "))
	}
	if rule.MaxAge != nil {
		add("Access-Control-Max-Age", strconv.FormatInt(*rule.MaxAge, 10))
	}
	add("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
}

// putBucketCORS answers PutBucketCors.
func (g *Gateway) putBucketCORS(c *call) error {
	var conf s3.CORSConfiguration
	if err := c.readDocument(maxCORSXML, &conf); err != nil {
		return err
	}
	if err := conf.Check(); err != nil {
		return err
	}
	return g.setBucketAttr(c, cluster.AttrCORS, encodeCORS(&conf), http.StatusOK)
}

// getBucketCORS answers GetBucketCors: what was put, never the default.
func (g *Gateway) getBucketCORS(c *call) error {
	v := attr(c.bkt.Attrs, cluster.AttrCORS)
	if v == nil {
		return s3.ErrNoSuchCORSConfiguration
	}
	conf, err := decodeCORS(v)
	if err != nil {
		return err
	}
	return c.replyXML(conf.Write)
}

// deleteBucketCORS answers DeleteBucketCors.
func (g *Gateway) deleteBucketCORS(c *call) error {
	return g.setBucketAttr(c, cluster.AttrCORS, nil, http.StatusNoContent)
}
