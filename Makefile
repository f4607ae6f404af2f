# SPDX-License-Identifier: GPL-2.0-or-later
# `make help` lists what can be made. All of it works from a fresh clone on Debian with the Swift toolchain; Debian
# packages that are missing are installed (as root).

BUILD_PACKAGES = libnetfilter-queue-dev libnetfilter-conntrack-dev libmnl-dev libsodium-dev libbpf-dev libpcap-dev \
	libtomlplusplus-dev pkg-config python3
RUN_PACKAGES = iptables conntrack nftables iproute2 procps
TEST_PACKAGES = binutils openssh-server openssh-client nmap tcpdump ethtool faketime python3 python3-pytest python3-pytest-xdist python3-scapy \
	python3-prometheus-client shellcheck mandoc

# Of machines for `make vm-test`: what emulates and makes them, and where disks are kept, some gigabytes.
VM_PACKAGES = qemu-system-x86 mmdebstrap e2fsprogs
VM_CACHE = /var/tmp/tcpknock-vm
VM_SUITES = bookworm trixie

# The other ways of knocking have services, which installing them would start: the benchmark unpacks their packages.
BENCH_PACKAGES = gcc libc6-dev iperf3 ethtool python3 libfko3 libpcap0.8
# Options for the benchmark, such as BENCH='flood --rounds 3 --json results.json'; see Benchmarks/bench.py --help.
BENCH =

# The standard library is linked in, so that hosts need no Swift toolchain; addresses are bound at start-up.
RELEASE = -c release --static-swift-stdlib -Xlinker -s -Xlinker -z -Xlinker now
BIN = $$(swift build -c release --show-bin-path)
PROGRAMS = keygen tcpknock-server tcpknock-client tcpknock
# The clang of the Swift toolchain will do where it can compile for BPF, else Debian's.
BPF_CLANG = $(firstword $(shell for clang in clang /usr/bin/clang; do \
	$$clang --print-targets 2>/dev/null | grep -qw bpf && echo $$clang; done))
BPF_FLAGS = -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -Wall -Wextra -Werror \
	-isystem /usr/include/$$(uname -m)-linux-gnu -I Sources/CBPF
BPF_PROGRAMS = syn_code syn_code_hook syn_code_gate
# Debian's own Python, which its packages python3-pytest python3-pytest-xdist and python3-scapy belong to.
PYTEST = /usr/bin/python3 -m pytest -o cache_dir=$(CURDIR)/.build/pytest-cache -n $(WORKERS) --dist loadfile
# How many files of end-to-end tests run at a time.
WORKERS = 3

DEB_PACKAGES = build-essential debhelper fakeroot lintian

# Of PyPI, since Debian has none, or an old one.
RUFF = .build/lint/bin/ruff
MYPY = .build/lint/bin/mypy
# Those of Python, without the ending.
CHECKS = scripts/modules scripts/once scripts/documents

# The fuzz targets to run, and for how long each.
FUZZ = $$($(FUZZER))
FUZZ_SECONDS = 600
FUZZER = .build-fuzz/release/tcpknock-fuzz
# libFuzzer of the Swift toolchain.
FUZZ_RUNTIME = $$($$(dirname "$$(readlink -f "$$(command -v swiftc)")")/clang \
	-print-file-name=libclang_rt.fuzzer_no_main-$$(uname -m).a)
# The end-to-end tests whose daemons run with AddressSanitizer, and with ThreadSanitizer.
ADDRESS_TESTS = $(addprefix test_,$(addsuffix .py,handshake lockout control reload guests faults_network))
THREAD_TESTS = $(addprefix test_,$(addsuffix .py,handshake reload guests kernel_filter))

FOLDER = $(BIN)
PREFIX = /usr/local
# Makes the units of the server those of an instance: tcpknock-server@NAME, with /etc/tcpknock/server@NAME.toml.
OF_INSTANCE = -e 's|tcpknock-server-rules\.service|tcpknock-server-rules@%i.service|' \
	-e 's|\(=[^ ]*/tcpknock-server\) |\1 --instance %i |' -e 's|^\(Description=.*\)|\1, instance %i|' \
	-e 's|/etc/tcpknock/server\.toml|/etc/tcpknock/server@%i.toml|' \
	-e 's|--flags-from \([^ ]*\)|--instance %i --flags-from "\1 --instance %i"|'
MANUAL = .build/manual
COMPLETIONS = bash-completion/completions zsh/site-functions fish/vendor_completions.d
DESTDIR =
# What was installed, for `make uninstall`.
INSTALLED = $(PREFIX)/lib/tcpknock/installed

.PHONY: help build kernel-filter test unit-test end-to-end-test soak demo lint coverage install clean
.PHONY: vm-test deb uninstall install-built packet-rewriter fuzzer fuzz fuzz-short sanitize
.PHONY: bench build-packages test-packages bench-packages

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

build: build-packages ## the programs, in the folder that `swift build -c release --show-bin-path` prints
	swift build $(RELEASE)
	@$(MAKE) --no-print-directory kernel-filter FOLDER="$(BIN)"

kernel-filter: build-packages ## the programs for the kernel, in FOLDER (that of the release build)
	@[ -n "$(BPF_CLANG)" ] || scripts/install-packages clang
	for program in $(BPF_PROGRAMS); do \
		$(or $(BPF_CLANG),/usr/bin/clang) $(BPF_FLAGS) -c Sources/KernelFilter/bpf/$$program.bpf.c \
			-o "$(FOLDER)/$$program.bpf.o" || exit; done

test: unit-test end-to-end-test ## all tests (as root: they make network namespaces)

unit-test: build-packages test-packages ## the tests of each module
	swift build --build-tests
	@$(MAKE) --no-print-directory kernel-filter FOLDER="$$(swift build --show-bin-path)"
	swift test --disable-xctest
	@echo "once more with optimisation, without which Swift allocates and is slow: verdicts take nothing from the heap"
	swift test -c release -Xswiftc -enable-testing --disable-xctest --scratch-path .build-release-tests \
		--filter 'AllocationTests|RushTests'

end-to-end-test: build test-packages packet-rewriter ## real daemons, kernel queues, sshd and scanners in network namespaces
	$(PYTEST) Tests/EndToEnd || { \
		echo "What failed is run once more, one at a time; what passes only then is unsteady, and named above."; \
		$(PYTEST) -n 0 --last-failed --last-failed-no-failures none Tests/EndToEnd; }

soak: build test-packages ## ten million hostile packets, and a full table of used codes (as root; 20 minutes)
	TCPKNOCK_SOAK=10000000 $(PYTEST) -rP Tests/EndToEnd/test_faults_flood.py Tests/EndToEnd/test_used_codes_full.py -n 0

vm-test: deb test-packages ## services and packages, with systemd on stock kernels in emulated machines (as root; half an hour)
	scripts/install-packages $(VM_PACKAGES)
	VM_CACHE=$(VM_CACHE) VM_SUITES="$(VM_SUITES)" $(PYTEST) -n 0 -v Tests/VM

packet-rewriter: build-packages
	TCPKNOCK_TEST_PROGRAMS=1 swift build $(RELEASE) --product packet-rewriter

fuzzer: build-packages
	TCPKNOCK_FUZZ="$(FUZZ_RUNTIME)" swift build -c release --scratch-path .build-fuzz --product tcpknock-fuzz

fuzz: fuzzer ## all fuzz targets, FUZZ_SECONDS (600) each; what is found is kept in .build-fuzz/found
	scripts/fuzz $(FUZZER) $(FUZZ_SECONDS) $(FUZZ)

fuzz-short: fuzzer ## all fuzz targets, 4 seconds each, from the corpora
	scripts/fuzz $(FUZZER) 4 $(FUZZ)

sanitize: build-packages test-packages ## AddressSanitizer and ThreadSanitizer: unit tests, some end-to-end tests (as root)
	scripts/sanitize address $(WORKERS) $(ADDRESS_TESTS)
	scripts/sanitize thread $(WORKERS) $(THREAD_TESTS)

demo: build test-packages ## the main job, live, in two network namespaces
	/usr/bin/python3 Tests/EndToEnd/demo.py

bench: build bench-packages ## speed and memory, against baselines measured in the same run (as root; 20 minutes)
	/usr/bin/python3 Benchmarks/bench.py $(BENCH)

lint: test-packages ## format and style
	swift format lint --strict -r Sources Tests Benchmarks Package.swift
	for check in $(CHECKS); do $$check || exit; done
	@$(MAKE) --no-print-directory $(RUFF) $(MYPY)
	$(RUFF) check . $(CHECKS) scripts/manual
	$(MYPY) Tests/EndToEnd Benchmarks $(CHECKS)
	$(MYPY) scripts/manual
	$(MYPY) Tests/VM
	shellcheck -x -a firewall/server.sh firewall/client.sh
	shellcheck packaging/hooks/*.sh packaging/hooks/*/*.sh \
		scripts/coverage scripts/coverage-report scripts/fuzz scripts/install-packages scripts/sanitize .ci/run \
		Tests/VM/image Tests/VM/guest/vm-agent Tests/VM/guest/vm-network

$(RUFF) $(MYPY): .build/lint/bin/pip
	$(@D)/pip install --quiet --disable-pip-version-check ruff==0.15.0 mypy==2.4.1

.build/lint/bin/pip:
	scripts/install-packages python3-venv
	/usr/bin/python3 -m venv $(@D)/..

coverage: build-packages test-packages ## line coverage of all tests, module by module (as root; 25 minutes or so)
	@WORKERS=$(WORKERS) scripts/coverage

install: build ## to $(PREFIX): programs, firewall scripts, services, manual pages, completions and documents
	@$(MAKE) --no-print-directory install-built
	@# Once more, to a folder of its own, where what was installed can be listed.
	@rm -rf .build/installed && $(MAKE) --no-print-directory install-built DESTDIR="$(CURDIR)/.build/installed" >/dev/null
	cd .build/installed && find . ! -type d | cut -c 2- >"$(DESTDIR)$(INSTALLED)"

uninstall: ## remove what `make install` has put there; not the configuration, keys and state
	@[ -e "$(DESTDIR)$(INSTALLED)" ] || { echo "$(DESTDIR)$(INSTALLED) is missing: nothing was installed there" >&2; exit 66; }
	@[ -n "$(DESTDIR)" ] || for side in server client; do \
		$(PREFIX)/lib/tcpknock/$$side.sh status >/dev/null 2>&1; [ $$? = 3 ] || { \
			echo "the rules are up, and could not be taken down any more: '$(PREFIX)/lib/tcpknock/$$side.sh down' first" >&2; \
			exit 69; }; done
	while read -r file; do rm -f "$(DESTDIR)$$file" || exit; done <"$(DESTDIR)$(INSTALLED)"
	rm -f "$(DESTDIR)$(INSTALLED)"
	find $(DESTDIR)$(PREFIX)/lib/tcpknock $(DESTDIR)$(PREFIX)/share/doc/tcpknock -depth -type d -empty -delete

install-built:
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/lib/tcpknock/hooks $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -d $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/share/doc/tcpknock $(COMPLETIONS:%=$(DESTDIR)$(PREFIX)/share/%)
	for program in $(PROGRAMS); do install -m 755 "$(BIN)/$$program" $(DESTDIR)$(PREFIX)/sbin/ || exit; done
	install -m 644 firewall/* $(DESTDIR)$(PREFIX)/lib/tcpknock/
	install -m 755 firewall/server.sh firewall/client.sh $(DESTDIR)$(PREFIX)/lib/tcpknock/
	install -m 644 "$(BIN)"/syn_code*.bpf.o $(DESTDIR)$(PREFIX)/lib/tcpknock/
	cp -r packaging/hooks/. $(DESTDIR)$(PREFIX)/lib/tcpknock/hooks/
	scripts/manual "$(BIN)" $(MANUAL)
	for section in 5 8; do \
		install -d $(DESTDIR)$(PREFIX)/share/man/man$$section && \
		install -m 644 $(MANUAL)/*.$$section $(DESTDIR)$(PREFIX)/share/man/man$$section/ || exit; done
	for daemon in server client; do \
		"$(BIN)/tcpknock-$$daemon" --sample > $(DESTDIR)$(PREFIX)/share/doc/tcpknock/$$daemon.toml || exit; done
	for unit in packaging/systemd/*.service; do \
		sed 's|/usr/local|$(PREFIX)|g' $$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit; done
	cd $(DESTDIR)$(PREFIX)/lib/systemd/system && for unit in tcpknock-server tcpknock-server-rules; do \
		sed $(OF_INSTANCE) $$unit.service > $$unit@.service || exit; done
	install -m 644 packaging/sysusers/tcpknock.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/
	[ -n "$(DESTDIR)" ] || ! command -v systemd-sysusers >/dev/null || systemd-sysusers $(PREFIX)/lib/sysusers.d/tcpknock.conf
	install -m 644 README.md docs/*.md docs/*.svg docs/vectors.json $(DESTDIR)$(PREFIX)/share/doc/tcpknock/
	@for program in $(PROGRAMS); do \
		complete="$(BIN)/$$program --generate-completion-script"; share=$(DESTDIR)$(PREFIX)/share; \
		$$complete bash | sed "1{/^#!/d}" > $$share/bash-completion/completions/$$program && \
		$$complete zsh > $$share/zsh/site-functions/_$$program && \
		$$complete fish > $$share/fish/vendor_completions.d/$$program.fish || exit; done

deb: build ## Debian packages, in .build/deb: tcpknock-server, tcpknock-client and tcpknock-common
	scripts/install-packages $(DEB_PACKAGES)
	rm -rf .build/deb && mkdir -p .build/deb/tcpknock && cp -r packaging/debian .build/deb/tcpknock/
	cd .build/deb/tcpknock && SOURCE=$(CURDIR) dpkg-buildpackage --build=binary --no-sign
	cd .build/deb && lintian --fail-on error,warning *.changes

clean: ## remove what was built
	rm -rf .build .build-*

build-packages:
	@scripts/install-packages $(BUILD_PACKAGES)

test-packages:
	@scripts/install-packages $(RUN_PACKAGES) $(TEST_PACKAGES)

bench-packages:
	@scripts/install-packages $(RUN_PACKAGES) $(BENCH_PACKAGES)
