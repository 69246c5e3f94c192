# SPDX-License-Identifier: GPL-2.0 OR MIT
# Front door. 'make help' lists the targets; everything is built under build/.

BUILD	:= $(abspath build)
KERNELS	?= 6.1
CPUS	?= 2
PREFIX	?= /usr/local
DESTDIR	?=
# For real hardware: make module KDIR=/lib/modules/$(uname -r)/build
KDIR	?=
# 1: a module that counts VMREADs and VMWRITEs, in build/kmod/NAME-vmcs
DEBUG_VMCS ?=
BUILD_MODULE := tools/build-module $(if $(DEBUG_VMCS),--debug-vmcs)

SETUP	:= $(BUILD)/.setup

MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)

.PHONY: all
all: module module-vmcs-6.1 lib apps tools guest-tests unit-tests bench-programs ## module for kernel 6.1, library, programs and tests

.PHONY: setup
setup: $(SETUP) ## install missing Debian packages (as tools/setup does)

$(SETUP): tools/setup
	@tools/setup
	@mkdir -p $(@D) && touch $@

# ---- what is built ---------------------------------------------------------

.PHONY: module
ifneq ($(KDIR),)
module:
	$(BUILD_MODULE) --kdir $(KDIR) native
else
module: $(addprefix module-,$(KERNELS)) ## dune.ko for KERNELS="6.1 6.12 debug", or for KDIR=DIR (real hardware)
endif

module-%: $(SETUP)
	@$(BUILD_MODULE) $*
	@tests/kmod/build $*

module-vmcs-%: $(SETUP)
	@tools/build-module --debug-vmcs $*

.PHONY: lib
lib: $(SETUP) ## libdune and its manual pages; once more for tests, with marks for the TLB sanitizer
	$(MAKE) -C libdune BUILD=$(BUILD) all man
	$(MAKE) -C libdune BUILD=$(BUILD)/marks CPPFLAGS=-DVM_MARKS=1 shared

.PHONY: apps
apps: lib ## the programs in apps/
	@set -e; for d in $(patsubst %/Makefile,%,$(wildcard apps/*/Makefile)); do \
		$(MAKE) -C $$d BUILD=$(BUILD); done

.PHONY: guest-tests
guest-tests: lib ## the test programs that run in the emulated machine
	$(MAKE) -C tests BUILD=$(BUILD)

.PHONY: unit-tests
unit-tests: lib ## the unit tests of smp/, libdune and dune-topo
	$(MAKE) -C libdune BUILD=$(BUILD) tests
	$(MAKE) -C tests/unit BUILD=$(BUILD)/tests/unit
	$(MAKE) -C tests/litmus BUILD=$(BUILD)/tests/litmus
	$(MAKE) -C tests/topo BUILD=$(BUILD)
	$(MAKE) -C tools/shootdown-sim BUILD=$(BUILD)

.PHONY: tools
tools: lib ## dune-stat, dune-topo, dune-run, shootdown-sim
	$(MAKE) -C tools/dune-stat BUILD=$(BUILD)
	$(MAKE) -C tools/dune-topo BUILD=$(BUILD)
	$(MAKE) -C libdune BUILD=$(BUILD) inside
	$(MAKE) -C tools/dune-run BUILD=$(BUILD)
	$(MAKE) -C tools/shootdown-sim BUILD=$(BUILD)

.PHONY: bench-programs
bench-programs: lib
	$(MAKE) -C bench/scaling BUILD=$(BUILD)

.PHONY: vm
vm: $(SETUP) ## the emulated machine: Bochs and kernel 6.1
	tools/vm/kernel 6.1

# ---- what is run -----------------------------------------------------------

.PHONY: run
run: all ## textscan with 4 threads in Dune mode in the emulated machine, compared with Linux
	tools/run-main --cpus $(CPUS)

.PHONY: test
test: all module-6.12 ## all tests on kernel 6.1 and the smoke tests on 6.12, 2 CPUs
	@tests/run --plan test

.PHONY: test-unit
test-unit: unit-tests apps ## the unit tests, on this machine
	@tests/run --plan unit

.PHONY: test-guest
test-guest: all ## the tests in the emulated machine, kernel 6.1, 2 CPUs
	@tests/run --plan guest

.PHONY: test-all-kernels
test-all-kernels: all module-6.12 module-vmcs-6.12 module-debug ## all tests on 6.1, 6.12 and debug; 6.1 also on 4 and 8 CPUs
	@tests/run --plan all-kernels

.PHONY: bench
bench: all ## what operations cost, Dune beside Linux, in the emulated machine: tables and a report (short)
	@bench/scaling/run --short --plot --cpus $(CPUS)

.PHONY: bench-full
bench-full: all ## the same on 1, 2, 4 and 8 CPUs, limits judged; goes on where it was interrupted
	@bench/scaling/run --full --resume --out $(BUILD)/bench/full-results

.PHONY: bench-exits
bench-exits: all ## what exits cost on 1 to 4 CPUs at once, without and with mitigations, beside Linux and KVM
	@bench/scaling/run --cpus 2,4 --mitigations both --check \
		--out $(BUILD)/bench/exits-results exits

.PHONY: torture
torture: SECONDS ?= 600
torture: KERNEL ?= 6.1
torture: guest-tests ## the coherence torture alone: SECONDS=600 KERNEL=6.1 CPUS=2
	@$(MAKE) module-$(KERNEL)
	tools/vm/run --kernel $(KERNEL) --cpus $(CPUS) --modules 'zram,lzo-rle?' \
		--timeout $$((300 + 10 * $(SECONDS))) -- \
		build/tests/guest/torture --seconds $(SECONDS)

.PHONY: torture-guest
torture-guest: SECONDS ?= 600
torture-guest: KERNEL ?= 6.1
torture-guest: guest-tests ## the torture of guest page tables alone: SECONDS=600 KERNEL=6.1 CPUS=2
	@$(MAKE) module-$(KERNEL)
	tools/vm/run --kernel $(KERNEL) --cpus $(CPUS) \
		--timeout $$((300 + 10 * $(SECONDS))) -- \
		build/tests/guest/vm_torture --seconds $(SECONDS)

.PHONY: soak
soak: SECONDS ?= 600
soak: KERNEL ?= 6.1
soak: guest-tests ## servers under dune-run with moving threads and short memory: SECONDS=600 KERNEL=6.1 CPUS=2
	@$(MAKE) module-$(KERNEL)
	tools/vm/run --kernel $(KERNEL) --cpus $(CPUS) --mem 1024 --modules 'zram,lzo-rle?' \
		--with redis-server,redis-tools,memcached,stress-ng,iproute2,mount \
		--timeout $$((300 + 10 * $(SECONDS))) -- \
		build/tests/compat/soak --seconds $(SECONDS)

.PHONY: check-mutants
check-mutants: all ## break smp/, module and library on purpose; a test must notice each time
	$(MAKE) -C tests/unit BUILD=$(BUILD)/tests/unit check-mutants
	@tests/bench/check-mutants
	@tests/check-guest-mutants

.PHONY: check-fuzz
check-fuzz: CASES ?= 1000000
check-fuzz: SEED ?= 1
check-fuzz: KERNEL ?= 6.1
check-fuzz: guest-tests ## fuzz calls and guest state: CASES=1000000 SEED=1 KERNEL=6.1 CPUS=2
	@$(MAKE) module-$(KERNEL)
	@tests/check-fuzz --cases $(CASES) --seed $(SEED) --kernel $(KERNEL) --cpus $(CPUS)

.PHONY: check-tlbsan
check-tlbsan: all ## drop or misplace flushes on purpose; the emulator's TLB sanitizer must notice
	@tests/run --kernel 6.1 --cpus 2 --filter '^g?tlbsan$$'
	@tests/check-guest-mutants --filter '^tlbsan-'

.PHONY: check-beside-stress
check-beside-stress: KERNEL ?= 6.1
check-beside-stress: all ## tests of memory, placement and scaling beside stress-ng, on NUMA nodes: KERNEL=6.1
	@$(MAKE) module-$(KERNEL)
	@tests/check-beside-stress --kernel $(KERNEL)

.PHONY: check-conformance
check-conformance: KERNEL ?= 6.1
check-conformance: FILTER ?=
check-conformance: all ## programs of Debian natively and under dune-run, compared: FILTER=REGEX KERNEL=6.1 CPUS=2
	@$(MAKE) module-$(KERNEL)
	@tests/check-conformance --kernel $(KERNEL) --cpus $(CPUS) --filter '$(FILTER)'

.PHONY: check-conflicts
check-conflicts: all ## cache lines that two vCPUs share, per pair of operations; MUTANTS=y: shared on purpose
ifeq ($(MUTANTS),)
	@tools/conflicts
else
	@tests/check-guest-mutants --filter '^conflict-'
endif

.PHONY: check-models
check-models: $(SETUP) ## Spin: each model holds in its whole state space, each mutant of it fails
	@tests/models/run

.PHONY: check-litmus
check-litmus: $(SETUP) ## store-buffering tests of the fences, on this machine's cores
	@$(MAKE) -C tests/litmus BUILD=$(BUILD)/tests/litmus check

.PHONY: check-tsan
check-tsan: ## smp/ on simulated CPUs under the thread sanitizer, SECS=60
	$(MAKE) -C tests/unit BUILD=$(BUILD)/tests/unit check-tsan

.PHONY: lint
lint: ## static checks, under 30 s
	@tools/lint

# ---- real hardware ---------------------------------------------------------

.PHONY: install
install: lib tools ## install module, group and udev rule, libdune, programs (PREFIX, DESTDIR); first: make module KDIR=...
	@test -f $(BUILD)/kmod/native/dune.ko || \
		{ echo 'first: make module KDIR=/lib/modules/$$(uname -r)/build' >&2; exit 1; }
	install -D -m 644 $(BUILD)/kmod/native/dune.ko \
		$(DESTDIR)/lib/modules/$$(cat $(BUILD)/kmod/native/release)/extra/dune.ko
	install -D -m 644 packaging/60-dune.rules $(DESTDIR)/etc/udev/rules.d/60-dune.rules
	install -D -m 644 packaging/dune.sysusers $(DESTDIR)/etc/sysusers.d/dune.conf
	$(MAKE) -C libdune BUILD=$(BUILD) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) install
	$(MAKE) -C tools/dune-stat BUILD=$(BUILD) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) install
	$(MAKE) -C tools/dune-topo BUILD=$(BUILD) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) install
	$(MAKE) -C tools/dune-run BUILD=$(BUILD) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) install
	$(MAKE) -C tools/shootdown-sim BUILD=$(BUILD) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) install
	@if [ -z "$(DESTDIR)" ]; then \
		systemd-sysusers dune.conf 2>/dev/null || \
			getent group dune >/dev/null || groupadd --system dune; \
		depmod -a $$(cat $(BUILD)/kmod/native/release); ldconfig; \
		{ udevadm control --reload && \
			udevadm trigger --name-match=dune; } 2>/dev/null || :; \
	fi

.PHONY: clean
clean: ## remove what was built; keep kernels and the emulator
	@if [ -d $(BUILD) ]; then \
		find $(BUILD) -mindepth 1 -maxdepth 1 ! -name vm -exec rm -rf {} +; fi

.PHONY: distclean
distclean: ## remove build/
	rm -rf $(BUILD)
