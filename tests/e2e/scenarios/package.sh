# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# the Debian package on a machine with systemd: installed, booted, restarted, upgraded, removed and purged
# needs: package
# shellcheck source=../machine.sh
source "$HERE/machine.sh"

# --- the package
# shellcheck disable=SC2153  # OVERLAYD is engine.sh's
package=$(PRESET=$(basename "$(dirname "$OVERLAYD")") "$ROOT/scripts/build-package" "$SCRATCH" 2>"$SCRATCH/build.log") ||
  die "no package: $(cat "$SCRATCH/build.log")"
same "the package's files" "-rw-r--r-- root/root ./etc/default/overlayd
-rw-r--r-- root/root ./usr/lib/systemd/system/overlayd.service
-rwxr-xr-x root/root ./usr/sbin/overlayd
-rw-r--r-- root/root ./usr/share/bash-completion/completions/overlayd
-rw-r--r-- root/root ./usr/share/doc/overlayd/changelog.gz
-rw-r--r-- root/root ./usr/share/doc/overlayd/copyright
-rw-r--r-- root/root ./usr/share/doc/overlayd/copyright.libarchive-dev
-rw-r--r-- root/root ./usr/share/doc/overlayd/copyright.libcli11-dev
-rw-r--r-- root/root ./usr/share/doc/overlayd/copyright.libxxhash-dev
-rw-r--r-- root/root ./usr/share/doc/overlayd/copyright.nlohmann-json3-dev
-rw-r--r-- root/root ./usr/share/lintian/overrides/overlayd
-rw-r--r-- root/root ./usr/share/man/man8/overlayd.8.gz" \
  "$(dpkg-deb --contents "$package" | awk '!/\/$/ { print $1, $2, $6 }')"

same "lintian has nothing to say" "" "$(lintian --allow-root "$package" 2>&1)"

# --- installed on a machine that is off, with the line that the README asks for
make_machine
cp "$package" "$MACHINE/root/package.deb"
succeeds "apt installs it with what it needs" \
  in_tree apt-get --yes -o Dpkg::Use-Pty=0 install --no-install-recommends /root/package.deb
succeeds "systemd has nothing to say against its unit" in_tree systemd-analyze verify --man=no overlayd.service
same "and warns of nothing" "" "$(in_tree systemd-analyze verify --man=no overlayd.service 2>&1)"
mkdir -p "$MACHINE/etc/docker"
echo '{ "experimental": true, "storage-driver": "overlayd", "bridge": "none", "iptables": false, "ip-forward": false }' \
  >"$MACHINE/etc/docker/daemon.json"

# --- booted
machine() { "${on_machine[@]}" "$@"; }
docker() { machine docker "$@"; }
property() { machine systemctl show --value --property "$2" "$1.service"; } # UNIT PROPERTY
is_active() { [[ $(property "$1" ActiveState) == active ]]; }
has_engine() { is_active docker && docker version >/dev/null 2>&1; }
boot_machine
eventually "it boots with an engine" 60 has_engine
same "on overlayd" "overlayd" "$(docker info --format '{{.Driver}}')"
same "the service is on, and has said so itself" "notify enabled active ready: listening on '/run/docker/plugins/overlayd.sock'" \
  "$(for what in Type UnitFileState ActiveState StatusText; do property overlayd $what; done | paste -sd ' ')"
before() { (($1 > 0 && $2 > 0 && $1 <= $2)); } # MONOTONIC MONOTONIC
succeeds "the engine was started after that" before \
  "$(property overlayd ActiveEnterTimestampMonotonic)" "$(property docker ExecMainStartTimestampMonotonic)"
same "the journal has its lines with their priority, and no second time" "6 info: overlayd $("$OVERLAYD" --version | cut -d ' ' -f 2) starting" \
  "$(machine journalctl --unit overlayd --output json | jq -r 'select(.MESSAGE | test("starting$")) | .PRIORITY + " " + .MESSAGE' | sort -u)"
same "its socket, its state and the engine's directory are root's alone" "socket 600 root:root
directory 700 root:root
directory 700 root:root" "$(machine stat --format '%F %a %U:%G' /run/docker/plugins/overlayd.sock /run/overlayd /run/docker)"
namespace_of() { machine readlink "/proc/$1/ns/mnt"; }
same "it has no mounts of its own" "$(namespace_of 1)" "$(namespace_of "$(property overlayd MainPID)")"

# --- used
import_busybox busybox >/dev/null
run_idle idle busybox
succeeds "a container does with files all it may" \
  docker exec idle sh -ec 'touch /f && chown 7:8 /f && chmod 6755 /f && mknod /n c 1 3 && rm -r /bin/vi /var'
context=$(new_context packaged <<'END'
FROM busybox
RUN touch /f && chown 7:8 /f && chmod 6755 /f
END
)
tar --create --directory "$context" . | DOCKER_BUILDKIT=0 docker build --quiet --network none --tag packaged - >/dev/null
same "and the layers keep it" "/f 6755 7:8" "$(run packaged stat -c '%n %a %u:%g' /f)"

# --- restarted below a container
still_works() { docker exec idle true && run busybox true; }
succeeds "overlayd is restarted" machine systemctl restart overlayd
succeeds "and the engine goes on" still_works
restarts() { [[ $(property overlayd NRestarts) == 1 ]] && is_active overlayd; }
machine systemctl kill --signal KILL overlayd
eventually "overlayd is killed and started again" 30 restarts
succeeds "and the engine goes on" still_works
old=$(property overlayd MainPID)
succeeds "it is upgraded" machine dpkg --install /root/package.deb
same "which starts the new one" "another active" \
  "$([[ $(property overlayd MainPID) == "$old" ]] || say "another $(property overlayd ActiveState)")"
succeeds "and the engine goes on" still_works
machine systemctl disable --quiet overlayd
succeeds "it is disabled and upgraded" machine dpkg --install /root/package.deb
same "and stays disabled" "disabled" "$(property overlayd UnitFileState)"
machine systemctl enable --quiet overlayd

# --- the two stop and start in order
docker rm --force idle >/dev/null
machine systemctl stop docker.socket overlayd docker
succeeds "the engine ends first" before \
  "$(property docker InactiveEnterTimestampMonotonic)" "$(property overlayd InactiveEnterTimestampMonotonic)"
same "overlayd ended well" "success" "$(property overlayd Result)"
machine systemctl start docker
succeeds "to start the engine starts overlayd" is_active overlayd
succeeds "the engine has its images" run packaged true
layers=$(machine ls /var/lib/docker/overlayd)
machine systemctl stop docker.socket docker

# --- removed
echo OVERLAYD_LOG_LEVEL=debug | machine tee /etc/default/overlayd >/dev/null
succeeds "it is removed" machine apt-get --yes -o Dpkg::Use-Pty=0 remove overlayd
same "overlayd is stopped" "inactive" "$(property overlayd ActiveState)"
same "its settings are still there" "OVERLAYD_LOG_LEVEL=debug" "$(machine cat /etc/default/overlayd)"
succeeds "it is installed again" machine apt-get --yes -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold install /root/package.deb
same "with those settings" "OVERLAYD_LOG_LEVEL=debug" "$(machine cat /etc/default/overlayd)"
eventually "and works" 20 is_active overlayd
same "as set" "OVERLAYD_LOG_LEVEL=debug" \
  "$(machine cat "/proc/$(property overlayd MainPID)/environ" | tr '\0' '\n' | grep OVERLAYD)"
succeeds "it is purged" machine apt-get --yes -o Dpkg::Use-Pty=0 purge overlayd
same "no file of it is left" "" "$(machine find / /run -xdev -name '*overlayd*' -not -path '/var/lib/docker/*' -not -path '/var/cache/*')"
same "no unit either" "not-found" "$(property overlayd LoadState)"
same "but every layer, which is the engine's" "$layers" "$(machine ls /var/lib/docker/overlayd)"
same "no error was logged" "" "$(machine journalctl --unit overlayd --output cat | bad_lines)"
end_machine
same "end: no mount is left" "" "$(mounts_below "$SCRATCH")"

# There was no engine but the machine's.
end_scenario() {
  wait_for 10 leftover_processes || true
  same "end: no process is left" "" "$LEFT"
}
