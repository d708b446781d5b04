package gateway

import (
	"context"
	"log/slog"
	"time"

	"ostor/internal/logkey"
)

// maxAgent bounds what a client can write into the access log with its User-Agent; a key has 1024 bytes at most, a bucket's name in a URL as many as a URL.
const (
	maxAgent  = 256
	maxLogged = 1024
)

// logAccess writes the access log's record of a finished request. It names what was asked for by bucket and key and never shows the URL or a header but User-Agent: presigned URLs carry a signature that is
// as good as a password until it expires.
func (g *Gateway) logAccess(c *call, start time.Time, status int) {
	ctx := context.Background() // a record does not depend on whether the client is still there
	if g.accessLog == nil || !g.accessLog.Enabled(ctx, slog.LevelInfo) {
		return
	}
	user := ""
	switch {
	case c.sig != nil:
		user = c.who.user.String()
	case c.who.anonymous:
		user = usageNobody
	}
	g.accessLog.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String(logkey.RequestID, c.id), slog.String(logkey.Addr, c.r.RemoteAddr), slog.String(logkey.User, user), slog.String(logkey.Operation, c.op.String()),
		slog.String(logkey.Method, truncated(c.r.Method, 16)), slog.String(logkey.Bucket, truncated(c.bucket, maxLogged)), slog.String(logkey.Key, truncated(c.key, maxLogged)), slog.Int(logkey.Status, status),
		slog.String(logkey.Code, c.failure), slog.Int64(logkey.Bytes, c.w.bytes), slog.Int64(logkey.Received, c.body.n), slog.Duration(logkey.Duration, time.Since(start)),
		slog.String(logkey.Agent, truncated(c.header("User-Agent"), maxAgent)))
}

func truncated(s string, max int) string {
	if len(s) > max {
		return s[:max]
	}
	return s
}
