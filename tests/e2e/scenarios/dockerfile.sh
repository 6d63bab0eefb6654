# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# the Dockerfile makes what scripts/build-plugin makes, built by an engine on overlayd, and the engine takes it
# slow: it installs a compiler and compiles, over the network

# The base image without a registry, made once. Packages come from where this machine has them from.
# shellcheck disable=SC2153  # ROOT is common.sh's
debian=$ROOT/build/debian-bookworm.tar
make_debian() {
  local tree=$SCRATCH/debian sources
  need_command debootstrap
  sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)' \
    'Created-By: Packages' 'Origin: Debian' | sort -u)
  debootstrap --variant=minbase bookworm "$tree" "$(sed -n 's/^deb \(.*\) bookworm main$/\1/p' <<<"$sources")" >/dev/null
  printf '%s\n' "$sources" >"$tree/etc/apt/sources.list"
  apt-config dump | grep '^Acquire::.*Proxy' >"$tree/etc/apt/apt.conf.d/proxy" || true
  tar --create --file "$debian.new" --numeric-owner --one-file-system --directory "$tree" .
  mv "$debian.new" "$debian"
}
[[ -e $debian ]] || make_debian

begin_scenario
docker import "$debian" debian:bookworm >/dev/null
bundle=$SCRATCH/bundle
DOCKER_BUILDKIT=1 docker build --progress plain --network host --build-arg http_proxy --output "$bundle/rootfs" "$ROOT" \
  >"$SCRATCH/build.log" 2>&1 || sed 's/^/# /' "$SCRATCH/build.log"
make_bundle "$SCRATCH/wanted"
files_of() { find "$1/rootfs" -mindepth 1 -printf '%P %y %m\n' | sort; }
same "the Dockerfile makes the same files" "$(files_of "$SCRATCH/wanted")" "$(files_of "$bundle")"
cp "$SCRATCH/wanted/config.json" "$bundle"
succeeds "the engine takes them as a plugin" docker plugin create overlayd "$bundle"
succeeds "that starts" docker plugin enable overlayd
succeeds "and can be removed" docker plugin rm --force overlayd
