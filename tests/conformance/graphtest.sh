#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Docker's own storage driver tests, run through Docker's own plugin client against a plugin's socket.
#
#   tests/conformance/graphtest.sh [FILTER]                 starts OVERLAYD (build/release/overlayd)
#   tests/conformance/graphtest.sh --socket PATH [FILTER]   any plugin that is already running and mounts
#                                                           where this shell can see it
#
# FILTER is a regular expression over test names. Docker's code comes from Debian's packages of its
# sources, unpacked below build/graphtest (4 MB) the first time and installed nowhere.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"
source "$HERE/../../scripts/lib/sandbox.sh"

CACHE=$ROOT/build/graphtest
TEST_BINARY=$CACHE/graphtest.test

# Docker's graphtest and everything it imports. The client under test is the one of this version.
PACKAGES=(
  golang-github-docker-docker-dev
  golang-github-containerd-containerd-dev
  golang-github-containerd-continuity-dev
  golang-github-docker-go-connections-dev
  golang-github-docker-go-units-dev
  golang-github-gogo-protobuf-dev
  golang-github-google-go-cmp-dev
  golang-github-gotestyourself-gotest.tools-dev
  golang-github-moby-sys-dev
  golang-github-opencontainers-go-digest-dev
  golang-github-opencontainers-image-spec-dev
  golang-github-opencontainers-runc-dev
  golang-github-pkg-errors-dev
  golang-github-sirupsen-logrus-dev
  golang-github-vbatts-tar-split-dev
  golang-golang-x-net-dev
  golang-golang-x-sys-dev
)

main() {
  need_root "the tests mount layers"
  if [[ -z ${OVERLAYD_SANDBOX:-} ]]; then
    fetch_sources
    build_test
  fi
  if [[ ${1:-} == --socket ]]; then
    local socket=${2:?--socket needs a path}
    SCRATCH=$(mktemp -d "${TMPDIR:-/var/tmp}/overlayd.XXXXXX")
    trap 'rm -rf --one-file-system "$SCRATCH"' EXIT
    run_tests "$socket" "${3:-.}"
    return
  fi
  enter_sandbox "$@"
  source "$ROOT/scripts/lib/engine.sh"
  trap stop_everything EXIT
  start_overlayd
  if ! run_tests "$PLUGIN_SOCKET" "${1:-.}"; then
    show_logs 40
    return 1
  fi
  check_nothing_is_mounted
}

fetch_sources() {
  local stamp=$CACHE/packages
  if [[ $(cat "$stamp" 2>/dev/null) == "${PACKAGES[*]}" ]]; then
    return
  fi
  say "graphtest: unpacking Docker's driver tests to ${CACHE#"$ROOT"/}"
  rm -rf "$CACHE/debs" "$CACHE/tree"
  mkdir -p "$CACHE/debs" "$CACHE/tree"
  download_packages || { quietly apt-get -qq update && download_packages; } ||
    die "cannot download Docker's driver tests; they come from Debian's package mirror, which must be reachable the first time"
  local deb
  for deb in "$CACHE"/debs/*.deb; do
    dpkg-deb --extract "$deb" "$CACHE/tree"
  done
  complete_sources "$CACHE/tree/usr/share/gocode/src"
  rm -r "$CACHE/debs"
  printf '%s' "${PACKAGES[*]}" >"$stamp"
}

download_packages() {
  (cd "$CACHE/debs" && quietly apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 download "${PACKAGES[@]}")
}

# Debian's packages are laid out for its own builds: two small packages of Docker's are left out, and one
# has its code below a major version that the import paths name.
complete_sources() { # GOPATH/src
  ln -s . "$1/gotest.tools/v3"
  cp -r "$HERE/graphtest/missing/." "$1/github.com/docker/docker/"
}

build_test() {
  need_command go
  local package=$CACHE/tree/usr/share/gocode/src/overlayd.test/graphtest
  mkdir -p "$package"
  cp "$HERE"/graphtest/*.go "$package/"
  (
    cd "$package"
    GOPATH=$CACHE/tree/usr/share/gocode GOCACHE=$CACHE/cache GO111MODULE=off GOFLAGS="" \
      go test -c -o "$TEST_BINARY" .
  )
}

run_tests() { # SOCKET FILTER
  mkdir -p "$SCRATCH/homes"
  # Setup and Teardown hold the driver for all the tests between them.
  local filter="^Test(Setup|Teardown)\$|$2" output=$SCRATCH/graphtest.out
  if ! (cd "$SCRATCH" && PLUGIN_SOCKET=$1 TMPDIR=$SCRATCH/homes "$TEST_BINARY" -test.v -test.run "$filter" 2>&1) |
    tee "$output"; then
    return 1
  fi
  # Go calls a run in which every test skipped itself a success.
  if grep -q -e '^--- SKIP' "$output"; then
    say "graphtest: skipped tests count as failed"
    return 1
  fi
}

check_nothing_is_mounted() {
  local mounts
  mounts=$(mounts_below "$SCRATCH")
  if [[ -n $mounts ]]; then
    say "--- FAIL: left mounted: $mounts"
    return 1
  fi
  say "--- PASS: NothingLeftMounted"
}

main "$@"
