# What a developer does here, with the names that CONTRIBUTING.md uses.
# `make` alone lists it.

GO        ?= go
GUEST      = $(GO) tool guest
FUZZTIME  ?= 30s
SOAK      ?= .

# A sparse raw disk for each guest, for stores larger than its memory.
DISK       = 56G
soak: DISK = 15T

# With this experiment the runtime wipes what the use of keys leaves in registers, on
# stacks and on the heap. Tests are built as the commands are, so that they see it.
export GOEXPERIMENT = runtimesecret

# Static binaries run in every guest, whatever libraries the host has.
STATIC     = CGO_ENABLED=0 $(GO)

# Debian packages of the test beds and of the programs that tests compare with.
PACKAGES   = qemu-system-x86 qemu-system-arm qemu-system-misc cryptsetup-bin dmsetup e2fsprogs busybox-static fio fuse3 groff-base protobuf-compiler

# Debian packages of the programs that the demo shows a store with, and its kernel.
DEMO_PACKAGES = cryptsetup-bin dmsetup procps util-linux mount
DEMO_KERNEL   = 6.1

# Bytes of layers that the demo writes: 10MB to 2.15GB.
DEMO_SIZE  ?= 2.15GB

# Programs that docs/guest-pull.md uses, for its tests: each in a module of its own,
# not in go.mod.
HOWTO      = $(CURDIR)/bin/howto
HOWTO_GO   = github.com/containerd/nydus-snapshotter/cmd/containerd-nydus-grpc@v0.13.11 github.com/containerd/nydus-snapshotter/cmd/nydus-overlayfs@v0.13.11 github.com/mikefarah/yq/v4@v4.44.3

# Packages with tests that need a kernel, and those with tests that need several
# CPUs: found by what the tests call and how they are named, so that a new one
# cannot be forgotten.
KERNEL_TESTS = $(shell grep -rlE --include='*_test.go' '\bKernel\W(t|b|tb)\b' . | xargs -r -n1 dirname | sort -u)
CPUS_TESTS   = $(shell grep -rlE --include='*_test.go' '^func Test[A-Za-z0-9_]*CPUs' . | xargs -r -n1 dirname | sort -u)

.DEFAULT_GOAL := help
.PHONY: help check-go setup build share install install-files release release-check generate protocols diagram api test kernels demo demo-minimal bench soak fuzz lint shell clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check-go:
	@.ci/check-go $(GO)

setup: check-go ## install what the tests need and is missing (Debian packages, kernels, containerd, nydus-snapshotter, yq)
	@.ci/install $(PACKAGES)
	@$(GUEST) setup
	@for m in $(HOWTO_GO); do \
		if [ "$$(cat $(HOWTO)/versions 2>/dev/null)" = '$(HOWTO_GO)' ]; then break; fi; \
		echo "setup: building $$m"; \
		GOBIN=$(HOWTO) $(STATIC) install -trimpath -ldflags '-s -w' $$m || exit 1; \
	done
	@echo '$(HOWTO_GO)' >$(HOWTO)/versions

# A clone's programs know their commit, whatever GOFLAGS says; a tarball's know it
# from git archive.
VCS        = $(shell git status --porcelain >/dev/null 2>&1 && echo -buildvcs=auto)

# Where build puts programs, and install finds them.
BIN        = bin
BUILD      = $(STATIC) build $(VCS) -trimpath -ldflags '-s -w' -o $(BIN)/

build: check-go ## bin/trusted-store and bin/trusted-guest, static
	$(BUILD) ./cmd/trusted-store ./cmd/trusted-guest

# What is built has the date of the commit, which git archive writes down, so that it
# is the same each time.
DATE       = $(or $(SOURCE_DATE_EPOCH),$(shell awk '$$2 ~ /^[0-9]+$$/ {print $$2; ok=1} END {exit !ok}' internal/cli/archive.txt || git log -1 --format=%ct 2>/dev/null || date +%s))

# Manual pages and completion, from the same tree of verbs as --help, and documents.
SHARE      = bin/share
DOC        = $(SHARE)/doc/trusted-store

share: check-go
	rm -rf $(SHARE)
	mkdir -p $(DOC)
	GOARCH= $(STATIC) test -count=1 -run '^TestReference$$' ./cmd/trusted-store ./cmd/trusted-guest -share $(abspath $(SHARE)) -date $(DATE)
	gzip -n -9 $(SHARE)/man/man8/*
	GOARCH= $(STATIC) run ./internal/release -licences $(DOC)/copyright
	cp README.md CHANGELOG.md SECURITY.md $(DOC)/

PREFIX     = /usr/local
UNITDIR    = $(PREFIX)/lib/systemd/system
UNITS      = $(wildcard cmd/*/*.service)
GENERATORS = $(PREFIX)/lib/systemd/system-generators
DRACUT     = $(PREFIX)/lib/dracut/modules.d/90trusted-store

install: build share install-files ## programs, units, manual pages, completion, licences; DESTDIR= and PREFIX=/usr/local say where to

install-files:
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(GENERATORS)' '$(DESTDIR)$(DRACUT)'
	install -m 755 $(BIN)/trusted-store $(BIN)/trusted-guest '$(DESTDIR)$(PREFIX)/bin'
	for u in $(UNITS); do \
		sed 's|=/usr/bin/|=$(PREFIX)/bin/|' $$u >'$(DESTDIR)$(UNITDIR)'/$${u##*/} && \
		chmod 644 '$(DESTDIR)$(UNITDIR)'/$${u##*/} || exit 1; \
	done
	ln -sf ../../../bin/trusted-store '$(DESTDIR)$(GENERATORS)/trusted-store-generator'
	install -m 755 cmd/trusted-store/image/module-setup.sh '$(DESTDIR)$(DRACUT)'
	cd $(SHARE) && find . -type f -exec install -D -m 644 {} '$(DESTDIR)$(PREFIX)/share/{}' ';'

release: check-go ## dist/: archives, .deb, .rpm, container image, SBOMs and checksums of the tag that is checked out
	GO='$(GO)' .ci/release dist

release-check: check-go ## that a release is the same when built twice, and installs, goes and boots with stores on Debian 12 and 13: as root
	GO='$(GO)' .ci/release-check

# A test does the same elsewhere, with OUT, and compares.
OUT       ?= .
PROTOS     = storage/protocol/cdh/cdh.proto storage/protocol/stores/stores.proto

generate: check-go protocols ## what is made from other files: pages of the commands, JSON schemas, plots, code of the ttrpc protocols
	$(STATIC) test -count=1 -run '^Test(Reference|Schemas)$$' ./cmd/trusted-store ./cmd/trusted-guest -reference
	$(STATIC) run ./internal/bench -render

# Needs graphviz; the picture is committed.
diagram:
	dot -Tsvg docs/how-it-works.dot -o docs/how-it-works.svg

api: check-go ## what of the API differs from the last tag, by apidiff; fails when something is gone
	GO='$(GO)' .ci/api

protocols: check-go
	protoc --plugin="$$($(GO) tool -n protoc-gen-go)" --plugin="$$($(GO) tool -n protoc-gen-go-ttrpc)" \
		--go_out=$(OUT) --go_opt=paths=source_relative --go-ttrpc_out=$(OUT) --go-ttrpc_opt=paths=source_relative $(PROTOS)

TESTRUNS   = $(GO) run ./internal/testruns -go '$(GO)' -guest '$(GUEST)' -disk '$(DISK)' -kernel-tests '$(KERNEL_TESTS)' -cpus-tests '$(CPUS_TESTS)'

test: setup build ## everything on the host and on the newest kernel, and on the others what kernels are asked
	@$(MAKE) --no-print-directory fuzz FUZZTIME=2000x
	@$(TESTRUNS) test

kernels: setup build ## every test that needs a kernel on every kernel and CPU: hours; the table goes to docs/kernels.md
	@$(TESTRUNS) -table docs/kernels.md kernels

# One setting for all that is built here, so that nothing is compiled twice.
demo: export CGO_ENABLED = 0
demo: check-go ## a store from nothing to closed, on a kernel of its own
	@echo 'demo: $(DEMO_SIZE) go into a store, in a guest: some two minutes, 2 GiB of memory, and as much disk as layers'
	@echo 'demo: the first time it needs 70 MB of downloads (Debian packages: $(DEMO_PACKAGES); User-Mode Linux; Go modules), 350 MB of disk, and another minute'
	@.ci/install $(DEMO_PACKAGES)
	@$(GUEST) setup uml-$(DEMO_KERNEL)
	$(BUILD) ./cmd/trusted-store
	$(GO) build -o bin/demo ./internal/demo
	@PATH="$(CURDIR)/bin:$$PATH" $(GUEST) -bed uml -kernel $(DEMO_KERNEL) -mem 2G -disk 56G -- bin/demo -layers $(DEMO_SIZE)

demo-minimal: check-go ## the demo on a Debian that has nothing else, as root: what make forgets to install fails
	.ci/demo-minimal

bench: setup build ## what a store costs, beside the bare ioctls and cryptsetup; BENCH_SHORT=1 takes minutes
	$(STATIC) build -o bin/bench ./internal/bench
	bin/bench -guest '$(GUEST)'

soak: setup build ## the long form of every test that has one: hours
	TRUSTED_STORE_BEDS=required TRUSTED_STORE_SOAK=1 $(STATIC) test -count=1 -p 1 -v -run '$(SOAK)' -timeout 6h -exec '$(GUEST) -bed uml -disk $(DISK)' $(KERNEL_TESTS)
	TRUSTED_STORE_BEDS=required TRUSTED_STORE_SOAK=1 $(STATIC) test -count=1 -p 1 -v -run CPUs -timeout 6h -exec '$(GUEST) -bed qemu -cpus 4 -disk $(DISK)' $(CPUS_TESTS)
	TRUSTED_STORE_SOAK=1 $(STATIC) test -count=1 -v -run KeepsTheDiskBusyCPUs -timeout 1h -exec '$(GUEST) -bed qemu -cpus 4 -mem 4G -disk 2500M -throttle 3M' ./storage/guestpull
	$(STATIC) test -count=1 -v -run TagsUnderPressure -timeout 1h -exec '$(GUEST) -bed qemu -cpus 4 -mem 512M -disk 6G' ./storage

# A duration can end in "context deadline exceeded" without a failing input, a race
# of Go before 1.27 (golang/go#75804); a count, such as 10000x, cannot.
fuzz: check-go ## each fuzz test for FUZZTIME=30s, or as many executions as FUZZTIME=10000x says
	@failed=; for test in $$(grep -rhoE --with-filename --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/func //'); do \
		name=$${test#*:}; set -x; $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$test")" || failed="$$failed $$name"; { set +x; } 2>/dev/null; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

lint: check-go ## gofmt, vet and the analysers that go.mod pins
	@test -z "$$(gofmt -l .)" || { echo 'gofmt would change:'; gofmt -l .; exit 1; }
	$(GO) vet ./...
	@# Whoever imports the library builds it without the experiment.
	GOEXPERIMENT= $(GO) vet ./...
	@# staticcheck: what is surely wrong, and what is never used.
	$(GO) tool staticcheck ./...
	@# errcheck: a failure that nobody looks at; .ci/errcheck.txt says which may be.
	$(GO) tool errcheck -exclude .ci/errcheck.txt ./...
	@# go-errorlint: == and type switches on errors that may be wrapped.
	$(GO) tool go-errorlint ./...
	@# ineffassign: a value that is overwritten before it is read.
	$(GO) tool ineffassign ./...
	@# misspell: what people read. Documents are checked by the tests of this directory.
	git ls-files '*.go' | xargs $(GO) tool misspell -error
	@# What is published about modules that ship was read for these versions.
	.ci/advisories $(GO)

shell: build ## a shell in a guest, with trusted-store in its PATH and a 56 GiB disk
	@.ci/install $(DEMO_PACKAGES) e2fsprogs
	@$(GUEST) setup uml-newest cryptsetup-newest
	@echo 'shell: root in a guest of its own; $$TRUSTED_STORE_DISKS is its raw disk of 56 GiB. A store on it:'
	@echo 'shell:   trusted-store create $$TRUSTED_STORE_DISKS --mount /tmp/store && df -h /tmp/store'
	@echo 'shell: cryptsetup, cryptsetup-newest, dmsetup and e2fsck are there, too. "exit" ends the guest, with all that is in it.'
	@PATH="$(CURDIR)/bin:$$PATH" $(GUEST) -bed uml -disk 56G -i

clean: ## remove what was built here; the guests' cache stays
	rm -rf bin dist
