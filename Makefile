# make lists the targets. run and test need Go and make only.
SHELL   := /bin/bash
GO      ?= go
BIN     := bin
CMDS    := $(notdir $(wildcard cmd/*))
DIR     ?= ./ostor-data
PREFIX  ?= /usr/local
FUZZTIME ?= 30s
FUZZCOUNT ?= 2000x
BENCHTIME ?= 2s
NAMES ?= 1000000
SIM_TIME ?= 10m
LINT    := $(BIN)/golangci-lint

.DEFAULT_GOAL := help
.PHONY: help run build test race invariants fuzz fuzz-short crash sim recovery e2e bench bench-scale cover lint fmt check install clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

run: build ## serve S3 on http://127.0.0.1:9000 from ./ostor-data (DIR=...)
	@mkdir -p $(DIR)
	@exec $(BIN)/ostor serve $(DIR)

build: ## all commands into ./bin
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/ $(addprefix ./cmd/,$(CMDS))

test: ## all tests, in a few minutes
	@$(GO) test ./...

race: ## all tests under the race detector
	@$(GO) test -race -short ./...

invariants: ## all tests with costly internal checks
	@$(GO) test -tags invariants -short ./...

fuzz: ## each fuzz target for FUZZTIME (30s)
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; done

# By count: with a short time on a busy machine, go test fails with "context deadline exceeded" now and then.
fuzz-short: ## about a minute of fuzzing: FUZZCOUNT (2000x) inputs for each target of the gateway
	@for p in $$($(GO) list ./gateway/...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    out=$$($(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZCOUNT) -fuzzminimizetime 100x $$p 2>&1) || { echo "$$out"; exit 1; }; \
	  done; done

crash: ## power cuts at every sync point, I/O errors at every operation, kill -9 under load
	@OSTOR_CRASH=long $(GO) test -count=1 -timeout 20m -run 'Crash|Kill|Nth|Every|Fail|IOError|Power|Error|Late' ./fsbackend/... ./pools/... ./objserver/... ./nameserver/... ./integration/...

sim: ## whole clusters and ownership under faults in simulated time, for SIM_TIME (10m); SEED=n replays
	@seed=$${SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}; echo "make sim SEED=$$seed SIM_TIME=$(SIM_TIME)"; \
	set -o pipefail; SEED=$$seed SIM_TIME=$(SIM_TIME) $(GO) test -count=1 -v -timeout 40m -run 'TestOwnership$$|TestCluster$$' ./integration/sim | grep -v '^=== \|^ *--- PASS'

recovery: ## how long a killed object server with a million objects and a full log takes to reply again
	@OSTOR_RECOVERY=1 $(GO) test -count=1 -v -timeout 60m -run 'TestRecoveryTime' ./objserver | grep -v '^time='

e2e: build ## real S3 clients against real processes, on a FUSE mount and on ostor serve (needs contrib/install-e2e-deps.sh)
	@OSTOR_E2E=1 OSTOR_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -v -timeout 30m ./integration/e2e/...
	@OSTOR_CRASH=long OSTOR_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -v -timeout 20m -run 'TestAgents|TestFrozen|TestThreeCopies' ./integration/fuse/...

bench: build ## the table of docs/benchmarks.md: rates, CPU, fdatasyncs, preads (BENCHTIME=2s)
	@$(GO) run ./integration/bench -bin $(BIN)/ostor -time $(BENCHTIME)

bench-scale: build ## the table of large buckets: lists, versions, deletions, parts among NAMES (1000000) names
	@$(GO) run ./integration/bench -bin $(BIN)/ostor -names $(NAMES) -serve "--ns 4 --memory 400"

cover: ## coverage of all packages into coverage.out
	@$(GO) test -short -coverprofile coverage.out -coverpkg ./... ./... >/dev/null; $(GO) tool cover -func coverage.out | tail -1

$(LINT): internal/tools/go.mod
	@mkdir -p $(BIN)
	@cd internal/tools && $(GO) build -o ../../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

lint: $(LINT) ## golangci-lint, built from internal/tools
	@$(LINT) run ./...

fmt: ## gofmt all files
	@gofmt -w $$(git ls-files '*.go')

check: ## what CI runs: formatting, vet, lint, tests, the race detector on the concurrent packages, a minute of fuzzing
	@test -z "$$(gofmt -l $$(git ls-files '*.go') | tee /dev/stderr)"
	@$(GO) vet ./...
	@$(MAKE) --no-print-directory lint
	@seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' '); echo "one minute of make sim SEED=$$seed among the tests"; SEED=$$seed SIM_TIME=1m $(GO) test ./...
	@$(GO) test -race -short ./fsbackend/... ./pools/... ./objserver/... ./nameserver/... ./gateway/... ./internal/... ./discovery/...
	@$(MAKE) --no-print-directory fuzz-short

install: build ## commands into PREFIX/bin (/usr/local)
	@install -d $(DESTDIR)$(PREFIX)/bin && install $(addprefix $(BIN)/,$(CMDS)) $(DESTDIR)$(PREFIX)/bin/

clean: ## remove what was built
	@rm -rf $(BIN) coverage.out
