# SPDX-License-Identifier: Apache-2.0
# The front door. meson does the work; see `make help`.

BUILD ?= build
PREFIX ?= $(HOME)/.microsandbox

all: $(BUILD)/build.ninja kernel ## build everything, the guest kernel included
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup $(BUILD) -Dbuildtype=release -Dprefix=$(PREFIX) -Dlibdir=lib

kernel: ## build the guest kernel (cached)
	kernel/build.sh --out $(BUILD)/vmlinux

install: all ## install to PREFIX (default ~/.microsandbox)
	scripts/setup.sh --prefix $(PREFIX) --no-run

check: ## quick: source rules and unit tests
	tests/run.py quick

test: ## everything; installs what the tests need
	tests/run.py all

test-heavy: ## postgres killed on volumes, 30,000 files, long races: half an hour under emulation
	tests/run.py heavy

lab: ## only the nested KVM lab
	tests/run.py lab

fuzz: ## all fuzz targets, FUZZ_SECONDS each (60, on few processors 30)
	tests/run.py fuzz

bench: ## the benchmarks with their limits
	tests/run.py bench

SOAK_OPS ?= 100000
SOAK_SECONDS ?= 3600
soak: all ## SOAK_OPS operations on sandboxes among kill -9 (default 100000), some on real guests; network for SOAK_SECONDS
	tests/soak/soak.py --ops $(SOAK_OPS)
	tests/soak/soak.py --ops 500 --machine qemu --kill 0.25
	tests/soak/net.py --seconds $(SOAK_SECONDS)

format: ## reformat the C sources
	build-aux/check-format.sh --fix

clean:
	rm -rf $(BUILD) build-*

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

.PHONY: all kernel install check test test-heavy lab fuzz bench soak format clean help
