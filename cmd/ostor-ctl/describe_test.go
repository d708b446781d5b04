package main

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"ostor/internal/cluster"
)

// TestDescribeSurvivesAnything: what lies on a disk may be anything.
func TestDescribeSurvivesAnything(t *testing.T) {
	t.Parallel()
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	defer func() {
		if t.Failed() {
			t.Logf("replay with SEED=%d", seed)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 2))
	const tags = "bBgopqrstuvLORV?"
	said := 0
	for range 50000 {
		key, value := make([]byte, 1+r.IntN(50)), make([]byte, r.IntN(120))
		for i := range key {
			key[i] = byte(r.IntN(3))
		}
		for i := range value {
			value[i] = byte(r.IntN(3))
		}
		key[0] = tags[r.IntN(len(tags))]
		for _, kind := range []cluster.ServiceType{cluster.TypeName, cluster.TypeObject} {
			d := decoder{kind: kind}
			if _, err := d.describe(key, value); err == nil {
				said++
			}
		}
	}
	if said == 0 {
		t.Error("nothing decoded at all: the test reaches too little")
	}
}
