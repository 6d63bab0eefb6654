# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Docker Engine 26.1, the newest that takes graphdriver plugins as it comes: the docker.io of Debian 13, with
# the system that it runs in, unpacked to build/engines/26.1 the first time. Some 600 MB, a minute or two.
# Sourced after common.sh.

DEBIAN13=$ROOT/build/engines/26.1

# The client has BuildKit's builder in a package of its own since 23.0.
DEBIAN13_PACKAGES=docker.io,docker-cli,docker-buildx

need_debian13() {
  [[ ! -d $DEBIAN13 ]] || return 0
  need_root "unpacking a Debian system makes its device nodes"
  need_command debootstrap
  mkdir -p "$(dirname "$DEBIAN13")"
  (
    # Two scripts that need it at once get one.
    flock 9
    [[ ! -d $DEBIAN13 ]] || exit 0
    say "unpacking Debian 13 with Docker Engine 26.1 to ${DEBIAN13#"$ROOT"/}" >&2
    rm -rf --one-file-system "$DEBIAN13.part"
    # debootstrap mounts in there what it needs.
    if ! quietly unshare --mount --propagation private debootstrap --variant=minbase \
      --include="$DEBIAN13_PACKAGES" trixie "$DEBIAN13.part" "$(debian_mirror)"; then
      tail -n 20 "$DEBIAN13.part/debootstrap/debootstrap.log" >&2 || true
      die "cannot make a Debian 13 system; it comes from Debian's package mirror, which must be reachable the first time"
    fi
    rm -rf "$DEBIAN13.part"/var/cache/apt/archives/*.deb
    mv "$DEBIAN13.part" "$DEBIAN13"
  ) 9>"$DEBIAN13.lock"
}

# The one that this machine's own packages come from.
debian_mirror() {
  [[ -n $(list_debian_mirrors) ]] || quietly apt-get -qq update
  list_debian_mirrors | grep -v security | head -n 1
}

list_debian_mirrors() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main'
}
