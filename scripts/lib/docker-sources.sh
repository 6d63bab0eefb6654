# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Docker's own code, to build tests from: Debian's packages of its sources, unpacked below
# build/docker-sources the first time and installed nowhere. Sourced after common.sh.

DOCKER_SOURCES=$ROOT/build/docker-sources

# Docker's driver tests, its overlay2 driver and everything they import. The client under test is the one
# of this version.
DOCKER_PACKAGES=(
  golang-github-docker-docker-dev
  golang-github-containerd-containerd-dev
  golang-github-containerd-continuity-dev
  golang-github-docker-go-connections-dev
  golang-github-docker-go-units-dev
  golang-github-gogo-protobuf-dev
  golang-github-google-go-cmp-dev
  golang-github-gotestyourself-gotest.tools-dev
  golang-github-moby-locker-dev
  golang-github-moby-sys-dev
  golang-github-opencontainers-go-digest-dev
  golang-github-opencontainers-image-spec-dev
  golang-github-opencontainers-runc-dev
  golang-github-opencontainers-selinux-dev
  golang-github-pkg-errors-dev
  golang-github-sirupsen-logrus-dev
  golang-github-vbatts-tar-split-dev
  golang-golang-x-net-dev
  golang-golang-x-sys-dev
)

# MISSING has packages of Docker's that Debian leaves out; the last one that has it wins.
fetch_docker_sources() { # MISSING...
  local missing stamp=$DOCKER_SOURCES/packages src=$DOCKER_SOURCES/tree/usr/share/gocode/src
  if [[ $(cat "$stamp" 2>/dev/null) != "${DOCKER_PACKAGES[*]}" ]]; then
    say "unpacking Docker's sources to ${DOCKER_SOURCES#"$ROOT"/}"
    rm -rf "$DOCKER_SOURCES/debs" "$DOCKER_SOURCES/tree"
    mkdir -p "$DOCKER_SOURCES/debs" "$DOCKER_SOURCES/tree"
    download_docker_packages || { quietly apt-get -qq update && download_docker_packages; } ||
      die "cannot download Docker's sources; they come from Debian's package mirror, which must be reachable the first time"
    local deb
    for deb in "$DOCKER_SOURCES"/debs/*.deb; do
      dpkg-deb --extract "$deb" "$DOCKER_SOURCES/tree"
    done
    # Debian's package has its code below a major version that the import paths name.
    ln -s . "$src/gotest.tools/v3"
    rm -r "$DOCKER_SOURCES/debs"
    printf '%s' "${DOCKER_PACKAGES[*]}" >"$stamp"
  fi
  for missing in "$@"; do
    cp -r "$missing/." "$src/github.com/docker/docker/"
  done
}

download_docker_packages() {
  (cd "$DOCKER_SOURCES/debs" &&
    quietly apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 download "${DOCKER_PACKAGES[@]}")
}

# Runs `go ARG...` in a copy of DIRECTORY that lies among the sources, where imports are looked for, beside
# one of what such programs share.
go_among_docker_sources() { # DIRECTORY ARG...
  need_command go
  local gopath=$DOCKER_SOURCES/tree/usr/share/gocode directory copy
  for directory in "$ROOT/tests/support/socketplugin" "$1"; do
    copy=$gopath/src/overlayd.test/${directory##*/}
    rm -rf "$copy"
    mkdir -p "$copy"
    cp "$directory"/*.go "$copy/"
  done
  (
    cd "$copy" || exit
    GOPATH=$gopath GOCACHE=$ROOT/build/go-cache GO111MODULE=off GOFLAGS="" go "${@:2}"
  )
}
