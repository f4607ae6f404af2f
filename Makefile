# SPDX-License-Identifier: GPL-2.0-or-later
# `make help` lists what can be made. All of it works from a fresh clone on Debian with the Swift toolchain; Debian
# packages that are missing are installed (as root).

BUILD_PACKAGES = libnetfilter-queue-dev libnetfilter-conntrack-dev libmnl-dev libsodium-dev pkg-config
RUN_PACKAGES = iptables conntrack nftables iproute2 procps
TEST_PACKAGES = openssh-server openssh-client nmap tcpdump ethtool python3 python3-pytest python3-scapy shellcheck

# The standard library is linked in, so that hosts need no Swift toolchain; addresses are bound at start-up.
RELEASE = -c release --static-swift-stdlib -Xlinker -s -Xlinker -z -Xlinker now
BIN = $$(swift build -c release --show-bin-path)
PROGRAMS = keygen tcpknock-server tcpknock-client tcpknock
# Debian's own Python, which its packages python3-pytest and python3-scapy belong to.
PYTEST = /usr/bin/python3 -m pytest -p no:cacheprovider

PREFIX = /usr/local
DESTDIR =

.PHONY: help build test unit-test end-to-end-test demo lint coverage install clean build-packages test-packages

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

build: build-packages ## the programs, in the folder that `swift build -c release --show-bin-path` prints
	swift build $(RELEASE)

test: unit-test end-to-end-test ## all tests (as root: they make network namespaces)

unit-test: build-packages ## the tests of each room
	swift test --disable-xctest

end-to-end-test: build test-packages ## real daemons, kernel queues, sshd and scanners in network namespaces
	$(PYTEST) Tests/EndToEnd

demo: build test-packages ## the main job, live, in two network namespaces
	/usr/bin/python3 Tests/EndToEnd/demo.py

lint: test-packages ## format and style
	swift format lint --strict -r Sources Tests Package.swift
	shellcheck -x firewall/*.sh .ci/install-packages .ci/run

coverage: build-packages ## line coverage of the unit tests, room by room
	swift test --disable-xctest --enable-code-coverage
	@.ci/coverage

install: build ## to $(PREFIX): the programs, and the firewall scripts in lib/tcpknock
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/lib/tcpknock
	for program in $(PROGRAMS); do install -m 755 "$(BIN)/$$program" $(DESTDIR)$(PREFIX)/sbin/ || exit; done
	install -m 755 firewall/server.sh firewall/client.sh $(DESTDIR)$(PREFIX)/lib/tcpknock/
	install -m 644 firewall/common.sh $(DESTDIR)$(PREFIX)/lib/tcpknock/

clean: ## remove what was built
	rm -rf .build .build-*

build-packages:
	@.ci/install-packages $(BUILD_PACKAGES)

test-packages:
	@.ci/install-packages $(RUN_PACKAGES) $(TEST_PACKAGES)
