package gateway

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"ostor/gateway/intent"
	"ostor/gateway/s3"
	"ostor/gateway/sigv4"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// Accounts knows the users; package account has one.
type Accounts interface {
	// Lookup returns the user and secret of an access key, as an s3.Lookup says.
	Lookup(ctx context.Context, accessKey string) (s3.Credential, error)
	// Email returns the address of a user, or fault.NotFound.
	Email(ctx context.Context, id cluster.UserID) (string, error)
	// FindEmailID returns the user with an address, or fault.NotFound, or fault.Invalid for what is no address.
	FindEmailID(ctx context.Context, email string) (cluster.UserID, error)
}

// Limits bound what clients can make a gateway do at once.
type Limits struct {
	Requests int // answered at the same time; more get 503 SlowDown. 0 = 1024
}

// Options configure a [Gateway].
type Options struct {
	Topology  cluster.Topology      // required
	Accounts  Accounts              // required
	Domains   []string              // names under which buckets are virtual hosts (bucket.domain); none: path style only
	Region    string                // of new buckets and in signatures; "" = us-east-1
	Clock     func() time.Time      // nil = time.Now
	Limits    Limits                //
	Logger    *slog.Logger          // nil = none
	AccessLog *slog.Logger          // one record per request at level Info (accesslog.go); nil = none
	Metrics   prometheus.Registerer // nil = not exported
	ServiceID cluster.ServiceID     // of this gateway: the first half of its request ids

	// Asked at each request that it matters to; nil = yes.
	DefaultCORS func() bool // whether buckets without a CORS configuration allow pages of all origins
	SigV2       func() bool // whether signature version 2 is accepted, in headers, queries and forms
}

// statusClientGone is what logs and metrics show of a request whose client went away before the reply was complete.
const statusClientGone = 499

const (
	defaultRegion   = "us-east-1"
	defaultRequests = 1024
)

// Gateway answers S3 requests. It is an http.Handler, safe for concurrent use, and keeps no state that another gateway would need. It extends the deadlines of its connections while
// data moves, and leaves it to the server to set them anew for the next request: [Serve] does.
type Gateway struct {
	topology  cluster.Topology
	accounts  Accounts
	lookup    s3.Lookup
	verifier  *sigv4.Verifier
	domains   []string // lower case, longest first
	region    string
	clock     func() time.Time
	log       *slog.Logger
	accessLog *slog.Logger
	metrics   *metrics
	router    *mux.Router
	serviceID cluster.ServiceID
	buckets   bucketCache
	names     userNames
	intents   *intent.Journal
	turns     bucketTurns

	defaultCORS func() bool
	sigV2       func() bool

	hostID       string // x-amz-id-2: which process answered
	hostIDHeader []string
	requestBase  uint64
	requests     atomic.Uint64
	slots        int64
	inFlight     atomic.Int64

	guardResults sync.Pool // of chan error; not shared between gateways, which may live in different bubbles of testing/synctest
}

var _ http.Handler = (*Gateway)(nil)

// New returns a Gateway. It returns fault.Invalid when a required option is missing or a domain is not a host name, and the registerer's error for metrics that are registered already.
func New(o Options) (*Gateway, error) {
	if o.Topology == nil || o.Accounts == nil {
		return nil, fault.New(fault.Invalid, "gateway: Topology and Accounts are required")
	}
	g := &Gateway{
		topology: o.Topology, accounts: o.Accounts, lookup: o.Accounts.Lookup, region: o.Region, clock: o.Clock, log: o.Logger, accessLog: o.AccessLog, serviceID: o.ServiceID,
		defaultCORS: o.DefaultCORS, sigV2: o.SigV2,
		requestBase: rand.Uint64(), slots: int64(o.Limits.Requests), turns: newBucketTurns(),
	}
	yes := func() bool { return true }
	if g.defaultCORS == nil {
		g.defaultCORS = yes
	}
	if g.sigV2 == nil {
		g.sigV2 = yes
	}
	if g.region == "" {
		g.region = defaultRegion
	}
	if g.clock == nil {
		g.clock = time.Now
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.slots == 0 {
		g.slots = defaultRequests
	}
	for _, d := range o.Domains {
		d = strings.ToLower(strings.Trim(d, "."))
		if d == "" || strings.ContainsAny(d, "/:@ ") {
			return nil, fault.New(fault.Invalid, "gateway: %q is not a domain", d)
		}
		g.domains = append(g.domains, d)
	}
	g.intents = intent.New(g.topology, g.log)
	slices.SortFunc(g.domains, func(a, b string) int { return len(b) - len(a) })
	g.hostID = g.serviceID.String() + "-" + cluster.HostID(g.requestBase).String()
	g.hostIDHeader = []string{g.hostID}
	g.verifier = sigv4.New(sigv4.Options{Region: g.region})
	var err error
	if g.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, err
	}
	g.buckets.counts = &g.metrics.buckets
	// The router knows the coarse services of the endpoint; what no service claims is S3. It must neither clean nor decode paths: keys are opaque.
	g.router = mux.NewRouter().SkipClean(true).UseEncodedPath()
	g.router.MatcherFunc(func(*http.Request, *mux.RouteMatch) bool { return true }).HandlerFunc(g.serveS3)
	return g, nil
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The match is asked for directly: mux's own ServeHTTP copies the request twice to carry variables that no route here has.
	var match mux.RouteMatch
	if !g.router.Match(r, &match) {
		http.NotFound(w, r)
		return
	}
	match.Handler.ServeHTTP(w, r)
}

// serveS3 answers one S3 request, whatever happens in between: counted, logged, with a request id, and cut off when its reply cannot be completed.
func (g *Gateway) serveS3(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	restoreExpectation(r.Header)
	number, id := g.newRequestID()
	c := &call{g: g, req: *r.WithContext(logkey.WithRequestID(r.Context(), number)), id: id}
	c.r = &c.req
	c.w = &response{ResponseWriter: w, now: time.Now}
	c.body = bodyReader{ReadCloser: r.Body, now: time.Now}
	c.req.Body = &c.body
	if r.ContentLength == 0 && r.Header.Get("Expect") == "100-continue" {
		// net/http sends it when the body is read, and there is none. aws-cli (botocore) takes a final status in its place for the status of the next such request
		// on the connection too, and then waits for that one's end until the connection closes: a sync with an empty file hung for a minute.
		w.WriteHeader(http.StatusContinue)
	}
	if len(r.TransferEncoding) > 0 {
		// It may have had a Content-Length too, which net/http takes away unseen: somebody in front who went by that would take the end of this body for a part of the next
		// request, or the other way round (RFC 9112, 6.1: the server MUST close the connection).
		c.always = append(c.always, struct{ name, value string }{"Connection", "close"})
	}
	c.standardHeaders()
	if r.ContentLength != 0 {
		c.body.progress.begin(w) // also when nobody reads it: net/http drains what is left before the next request
	}

	g.metrics.inFlight.Inc()
	busy := g.inFlight.Add(1)
	defer func() {
		g.inFlight.Add(-1)
		g.metrics.inFlight.Dec()
		if c.release != nil {
			c.release()
		}
		g.finish(c, start)
		if c.cut {
			panic(http.ErrAbortHandler) // net/http closes the connection and logs nothing
		}
	}()
	defer c.recoverPanic()
	if busy > g.slots {
		g.metrics.shed.Inc()
		c.fail(s3.ErrSlowDown)
		return
	}
	if err := g.serve(c); err != nil {
		c.fail(err)
	}
}

// serve is the request from top to bottom: parse, authenticate, find the bucket, authorise, do it.
func (g *Gateway) serve(c *call) error {
	var err error
	if c.address, err = g.addressOf(c.r); err != nil {
		return err
	}
	if c.r.Method == http.MethodOptions {
		c.op = opPreflight
		return g.preflight(c)
	}
	if c.query, err = parseQuery(c.r.URL.RawQuery); err != nil {
		return err
	}
	if c.op, err = operationOf(c.r, c.address, c.query); err != nil {
		return err
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	ctx := c.r.Context()
	err = c.enter(ctx)
	if cors := c.crossOrigin(); err == nil { // refusals too are for the page to see
		err = cors
	}
	if err != nil {
		return err
	}
	if c.op == opNotImplemented {
		return s3.ErrNotImplemented // but not to strangers
	}
	if err := refuseHeaders(c.r.Header); err != nil {
		return err
	}
	err = handlers[c.op](g, c)
	if err == nil || c.w.begun() || c.bkt == nil || !errors.Is(err, fault.NoBucket) {
		return err
	}
	if err := c.renewBucket(ctx); err != nil {
		return err
	}
	c.clearHeaders()
	return handlers[c.op](g, c)
}

// recoverPanic turns a panic of a handler, which is a bug, into an InternalError of one request.
func (c *call) recoverPanic() {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // the sentinel itself
		c.cut = true
		return
	}
	c.g.metrics.panics.Inc()
	c.g.log.Error("a request panicked", slog.String(logkey.RequestID, c.id), slog.String("operation", c.op.String()), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	if !c.w.begun() {
		c.set("Connection", "close")
	}
	c.fail(fault.New(fault.Internal, "panic"))
}

// finish counts and logs a request.
func (g *Gateway) finish(c *call, start time.Time) {
	w := c.w
	now := w.first
	if now.IsZero() {
		now = time.Now() // cut off before a reply
	}
	asked := start
	if !c.body.end.IsZero() {
		asked = c.body.end
	}
	status := w.status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	if c.r.Context().Err() != nil {
		g.metrics.cancelled.Inc()
		status = min(status, statusClientGone) // no fault of ours
	}
	g.metrics.observe(c.op, status, max(now.Sub(asked), 0), c.body.n, w.bytes)
	g.metrics.usage.add(c, c.body.n, w.bytes)
	g.logAccess(c, start, status)
}
