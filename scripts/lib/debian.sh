# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian systems to run things in, unpacked below build/engines the first time. Sourced after common.sh.

# Docker Engine 26.1, the newest that takes graphdriver plugins as it comes: the docker.io of Debian 13, with
# the system that it runs in. Some 600 MB, a minute or two. The client has BuildKit's builder in a package of
# its own since 23.0.
DEBIAN13=$ROOT/build/engines/26.1
need_debian13() { need_debian trixie "$DEBIAN13" docker.io,docker-cli,docker-buildx; }

# This Debian's engine, in a system that boots. Some 550 MB, a minute or two.
DEBIAN12=$ROOT/build/engines/20.10
need_debian12() { need_debian bookworm "$DEBIAN12" docker.io,systemd-sysv,dbus; }

# The same engine, in a system that runs scenarios of tests/e2e on another kernel. Some 700 MB.
DEBIAN12_SCENARIOS=$ROOT/build/engines/20.10-scenarios
need_debian12_scenarios() {
  need_debian bookworm "$DEBIAN12_SCENARIOS" \
    docker.io,busybox-static,binutils,curl,jq,attr,libcap2-bin,python3-minimal
}

need_debian() { # SUITE DIRECTORY PACKAGES
  local directory=$2
  [[ ! -d $directory ]] || return 0
  need_root "unpacking a Debian system makes its device nodes"
  need_command debootstrap
  mkdir -p "$(dirname "$directory")"
  (
    # Two scripts that need it at once get one.
    flock 9
    [[ ! -d $directory ]] || exit 0
    say "unpacking Debian $1 with $3 to ${directory#"$ROOT"/}" >&2
    rm -rf --one-file-system "$directory.part"
    # A power cut costs no more than another try.
    mkdir -p "$directory.part/etc/dpkg/dpkg.cfg.d"
    echo force-unsafe-io >"$directory.part/etc/dpkg/dpkg.cfg.d/unsafe-io"
    # debootstrap mounts in there what it needs.
    if ! quietly unshare --mount --propagation private debootstrap --variant=minbase \
      --include="$3" "$1" "$directory.part" "$(debian_mirror)"; then
      tail -n 20 "$directory.part/debootstrap/debootstrap.log" >&2 || true
      die "cannot make a Debian system; it comes from Debian's package mirror, which must be reachable the first time"
    fi
    apt-config dump | grep '^Acquire::.*Proxy' >"$directory.part/etc/apt/apt.conf.d/proxy" || true
    rm -rf "$directory.part"/var/cache/apt/archives/*.deb
    mv "$directory.part" "$directory"
  ) 9>"$directory.lock"
}

# The one that this machine's own packages come from.
debian_mirror() {
  [[ -n $(list_debian_mirrors) ]] || quietly apt-get -qq update
  list_debian_mirrors | grep -v security | head -n 1
}

list_debian_mirrors() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main'
}
