package gateway

import (
	"context"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// partRange returns where part n of an object lies.
func (g *Gateway) partRange(ctx context.Context, c *call, e *cluster.Entry, n int32) (asked, error) {
	ns, err := c.names()
	if err != nil {
		return asked{}, err
	}
	p, err := findPart(e.Size, n, func(offset int64, limit int) ([]cluster.Part, error) {
		return ns.Parts(ctx, c.bkt.ID, e.Key, e.Table, offset, limit)
	})
	if err != nil {
		return asked{}, err
	}
	return asked{Range: s3.Range{Offset: p.Offset, Length: p.Size}, partial: p.Size > 0, part: &p}, nil
}

// findPart finds a part by its number in a table that is asked by offset: get returns parts as [cluster.NameServer.Parts] does. Numbers ascend with offsets, mostly by one and in parts of one
// size: so it guesses from the part seen last, and halves what is left when guessing was in vain. It returns errNoSuchPart when there is none.
func findPart(size int64, n int32, get func(offset int64, limit int) ([]cluster.Part, error)) (cluster.Part, error) {
	at := int64(0)
	for lo, hi, guess := int64(0), size, true; lo < hi; guess = !guess { // the part begins in [lo, hi)
		parts, err := get(at, 1)
		if err != nil {
			return cluster.Part{}, err
		}
		if len(parts) == 0 {
			break
		}
		p := parts[0]
		switch {
		case p.Number == n:
			return p, nil
		case p.Number < n:
			lo = max(lo+1, p.Offset+p.Size)
		default:
			hi = min(hi-1, p.Offset)
		}
		if at = lo + (hi-lo)/2; guess {
			at = min(max(p.Offset+int64(n-p.Number)*p.Size, lo), hi-1)
		}
	}
	// A last part may be empty: no offset is in it.
	parts, err := get(max(size-1, 0), 2)
	if err != nil {
		return cluster.Part{}, err
	}
	for _, p := range parts {
		if p.Number == n {
			return p, nil
		}
	}
	return cluster.Part{}, errNoSuchPart
}
