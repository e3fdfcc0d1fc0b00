# Poolwire. `make demo` and `make test` install what is missing and need root.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

GO       ?= go
BIN      := $(CURDIR)/bin
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The same sources, version and Go make the same bytes, wherever and whenever they are built.
LDFLAGS  := -buildid= -X poolwire/daemon/version.Version=$(VERSION)
BUILD    := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
PACKAGES := openvswitch-switch tcpdump ncat iproute2 iputils-ping ethtool openssl procps gcc libc6-dev nftables iptables e2fsprogs util-linux systemd

# What the kernel lab needs besides: User-Mode Linux and IPsec.
KERNEL_PACKAGES := user-mode-linux openvswitch-ipsec strongswan libstrongswan-standard-plugins iproute2 kmod

# systemd is there for systemd-analyze alone: installing it starts nothing where another init runs.

# Packages that need namespaces and real switches, and all the others.
LAB_PKGS  = $(shell $(GO) list ./integration/... | grep -v '^poolwire/integration/kernel')
UNIT_PKGS = $(shell $(GO) list ./... | grep -v '^poolwire/integration')

.PHONY: build
build: ## Build poolwired and poolwire into bin/
	$(BUILD) -o $(BIN)/ ./cmd/poolwired ./cmd/poolwire

.PHONY: sbom
sbom: build $(BIN)/cyclonedx-gomod ## List what the programs are made of, in CycloneDX, as bin/*.cdx.json
	@for p in poolwired poolwire; do \
	  $(BIN)/cyclonedx-gomod bin -json -std -noserial -notimestamp -version '$(VERSION)' -output $(BIN)/$$p.cdx.json $(BIN)/$$p; done

.PHONY: release
release: sbom ## Pack the programs, the unit and what they are made of into bin/release, with checksums
	@rm -rf $(BIN)/release; mkdir -p $(BIN)/release; \
	name=poolwire-$(VERSION)-$$($(GO) env GOOS)-$$($(GO) env GOARCH); \
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=go-w --transform "s,.*/,,;s,^,$$name/," -cf - \
	  $(BIN)/poolwired $(BIN)/poolwire $(BIN)/poolwired.cdx.json $(BIN)/poolwire.cdx.json deploy/poolwired.service deploy/poolwired.yaml LICENSE README.md SECURITY.md \
	  | gzip -n9 >$(BIN)/release/$$name.tar.gz; \
	cp $(BIN)/poolwired.cdx.json $(BIN)/poolwire.cdx.json $(BIN)/release/; \
	cd $(BIN)/release && sha256sum * >SHA256SUMS && cat SHA256SUMS

.PHONY: reproducible
reproducible: ## Build twice, in other directories and with empty caches, and compare
	@work=$$(mktemp -d); trap "chmod -R u+w $$work; rm -rf $$work" EXIT; \
	for n in one another/deeper; do \
	  mkdir -p $$work/$$n; git ls-files -z | xargs -0 tar -cf - | tar -xf - -C $$work/$$n --touch; \
	  GOCACHE=$$work/cache-$${n%%/*} $(MAKE) -s -C $$work/$$n build BIN=$$work/$$n/bin VERSION='$(VERSION)'; done; \
	cd $$work; sha256sum one/bin/* another/deeper/bin/*; \
	for p in poolwired poolwire; do cmp one/bin/$$p another/deeper/bin/$$p; done

.PHONY: deps
deps: ## Install the Debian packages that are missing
	@missing=""; for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

# The daemons these packages bring are for the guests only: none is started on
# this machine, now or at its next start.
.PHONY: deps-kernel
deps-kernel: deps ## Install the Debian packages of the kernel lab that are missing
	@missing=""; for p in $(KERNEL_PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  policy=/usr/sbin/policy-rc.d; \
	  if [ ! -e $$policy ]; then trap "rm -f $$policy" EXIT; printf '#!/bin/sh\nexit 101\n' >$$policy; chmod 755 $$policy; fi; \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  for unit in strongswan-starter openvswitch-ipsec; do \
	    case "$$missing" in *strongswan*|*openvswitch-ipsec*) systemctl disable -q $$unit 2>/dev/null || true;; esac; done; \
	fi

# etcd is run by the benchmark alone, as the tools above are by the guests.
.PHONY: deps-bench
deps-bench: deps ## Install etcd, beside which `make bench` measures a cluster's writes
	@if [ ! -x /usr/bin/etcd ]; then \
	  echo "installing: etcd-server"; \
	  policy=/usr/sbin/policy-rc.d; \
	  if [ ! -e $$policy ]; then trap "rm -f $$policy" EXIT; printf '#!/bin/sh\nexit 101\n' >$$policy; chmod 755 $$policy; fi; \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends etcd-server >/dev/null; \
	  systemctl disable -q etcd 2>/dev/null || true; \
	fi

.PHONY: demo
demo: deps build ## Show the main job with real traffic (KEEP=1 leaves the lab up)
	@$(GO) run ./integration/demo -bin $(BIN) $(if $(KEEP),-keep)

.PHONY: clean-lab
clean-lab: ## Remove a lab that `make demo KEEP=1` left up (LAB=its id)
	@[ -n '$(LAB)' ] || { echo "LAB=ID is required; labs there are:"; $(GO) run ./integration/lab/cmd/poolwire-lab list; exit 2; }
	@$(GO) run ./integration/lab/cmd/poolwire-lab clean '$(LAB)'

.PHONY: test
test: deps build ## Run everything: unit tests and integration tests on real Open vSwitch
	$(GO) test $(TESTFLAGS) $(UNIT_PKGS)
	$(GO) test -count=1 $(TESTFLAGS) -p 1 -timeout 30m $(LAB_PKGS)

.PHONY: test-kernel
test-kernel: deps-kernel build ## Run the tests that need hosts with kernels of their own
	$(GO) test -count=1 $(TESTFLAGS) -p 1 -timeout 40m ./integration/kernel/...

.PHONY: chaos
chaos: deps ## Break a cluster of three nodes for DURATION (10m), with SEED and FAULTS (a regular expression), and print figures
	POOLWIRE_CHAOS_DURATION=$(or $(DURATION),10m) POOLWIRE_CHAOS_SEED=$(SEED) POOLWIRE_CHAOS_FAULTS='$(FAULTS)' \
	  $(GO) test -count=1 -timeout 0 -run '^TestChaos$$' -v ./integration/chaos

.PHONY: scale
scale: ## Measure a cluster with HOSTS (1000) simulated hosts of VIFS (50) each, which dial in with ACTIVE=1, CHANGES (100) rules and KILLS (3) of the leader
	POOLWIRE_SCALE_HOSTS=$(or $(HOSTS),1000) POOLWIRE_SCALE_VIFS=$(or $(VIFS),50) POOLWIRE_SCALE_CHANGES=$(or $(CHANGES),100) POOLWIRE_SCALE_KILLS=$(or $(KILLS),3) \
	  $(GO) test -count=1 -timeout 0 -run '^TestScale$$/^$(if $(ACTIVE),active,passive)$$' -v ./integration/scale

.PHONY: unit
unit: deps ## Run the unit tests only
	$(GO) test $(TESTFLAGS) $(UNIT_PKGS)

.PHONY: race
race: deps ## Run the race detector on all packages that need no lab
	$(GO) test -race -timeout 20m $(TESTFLAGS) $(UNIT_PKGS)

.PHONY: bench
bench: deps-bench build ## Compare with ovs-ofctl and etcd on this machine (ONLY=flows,change,policy,cluster); prints tables with the ratios
	@$(GO) run ./integration/bench $(if $(ONLY),-only '$(ONLY)')

.PHONY: bench-log
bench-log: ## Compare the stores that Raft's log could be kept in, on this machine's disk
	@cd integration/bench/logstore && $(GO) run .

.PHONY: fuzz
fuzz: ## Fuzz every decoder and parser for FUZZTIME (30s) each, as many at a time as there are processors (ONLY=regular expression)
	@$(GO) run ./integration/fuzz -time $(or $(FUZZTIME),30s) $(if $(ONLY),-run '$(ONLY)')

.PHONY: fuzz-corpus
fuzz-corpus: ## Record what Open vSwitch sends as seeds of the fuzz targets (testdata/fuzz/*/recorded-*)
	POOLWIRE_RECORD_CORPUS=1 $(GO) test -count=1 -run TestRecordCorpus ./southbound/openflow ./southbound/ovsdb

.PHONY: tools
tools: $(BIN)/buf $(BIN)/golangci-lint $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc ## Build the pinned development tools

$(BIN)/buf: tools/buf/go.sum
	cd tools/buf && $(GO) build -o $@ github.com/bufbuild/buf/cmd/buf
$(BIN)/golangci-lint: tools/lint/go.sum
	cd tools/lint && $(GO) build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(BIN)/protoc-gen-go: tools/protoc/go.sum
	cd tools/protoc && $(GO) build -o $@ google.golang.org/protobuf/cmd/protoc-gen-go
$(BIN)/protoc-gen-go-grpc: tools/protoc/go.sum
	cd tools/protoc && $(GO) build -o $@ google.golang.org/grpc/cmd/protoc-gen-go-grpc
$(BIN)/cyclonedx-gomod: tools/sbom/go.sum
	cd tools/sbom && $(GO) build -o $@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
$(BIN)/govulncheck: tools/vuln/go.sum
	cd tools/vuln && $(GO) build -o $@ golang.org/x/vuln/cmd/govulncheck

.PHONY: generate
generate: tools ## Regenerate protobuf code, docs and examples
	$(BIN)/buf generate
	$(GO) generate ./...

.PHONY: lint
lint: tools ## Run golangci-lint and buf lint
	$(BIN)/buf lint
	$(BIN)/golangci-lint run ./...

.PHONY: vulncheck
vulncheck: $(BIN)/govulncheck ## Look for known vulnerabilities, where the database can be reached
	@status=0; out=$$($(BIN)/govulncheck ./... 2>&1) || status=$$?; \
	if [ $$status -eq 1 ] && grep -qE 'dial tcp|no such host|connection refused|Forbidden|lookup|timeout' <<<"$$out"; then \
	  echo "govulncheck: its database cannot be reached from here, skipped"; \
	else echo "$$out"; exit $$status; fi

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14
