# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian's kernels and a machine in software to boot them on. Sourced after common.sh and debian.sh.

# Each with the Debian that has it. The build for clouds has all that is needed, and no drivers of hardware.
declare -A KERNEL_SUITES=([6.1]=bookworm [6.12]=trixie)
KERNEL_PACKAGE=linux-image-cloud-amd64

# What a machine needs of the kernel's modules, with what these need themselves: directories below kernel/.
KERNEL_MODULES=(crypto arch/x86/crypto lib drivers/virtio drivers/block fs/xfs fs/overlayfs fs/quota)

kernel_directory() { printf '%s/build/kernels/%s' "$ROOT" "$1"; } # VERSION

# Leaves there vmlinuz and lib/modules/. Some 30 MB are fetched, the first time.
need_kernel() { # VERSION
  local directory
  directory=$(kernel_directory "$1")
  [[ ! -d $directory ]] || return 0
  need_command apt-get dpkg-deb busybox
  mkdir -p "$directory.part"
  (
    flock 9
    [[ ! -d $directory ]] || exit 0
    rm -rf "${directory:?}.part"/*
    say "fetching Linux $1 from Debian ${KERNEL_SUITES[$1]}" >&2
    download_from "${KERNEL_SUITES[$1]}" "$KERNEL_PACKAGE" "$directory.part/packages"
    unpack_kernel "$directory.part/packages" "$directory.part"
    rm -rf "$directory.part/packages"
    mv "$directory.part" "$directory"
  ) 9>"$directory.lock"
}

# What an empty package depends on, from another Debian than this one. apt's settings are this machine's, but
# not its lists.
download_from() { # SUITE PACKAGE DIRECTORY
  local apt=$3/apt wanted
  mkdir -p "$apt"/{lists,cache/archives}/partial
  printf 'deb %s %s main\n' "$(debian_mirror)" "$1" >"$apt/sources.list"
  local options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  quietly apt-get -qq "${options[@]}" -o Acquire::Retries=3 update ||
    die "cannot read Debian's package mirror, which must be reachable the first time"
  wanted=$(apt-cache "${options[@]}" depends "$2" | awk '$1 == "Depends:" { print $2; exit }')
  (cd "$3" && quietly apt-get -qq "${options[@]}" -o Acquire::Retries=3 download "$wanted") ||
    die "cannot download $wanted"
}

unpack_kernel() { # FROM TO
  local release directory module
  dpkg-deb -x "$1"/linux-image-*.deb "$1/tree"
  [[ -d $1/tree/usr/lib/modules ]] || mv "$1/tree/lib" "$1/tree/usr/"
  release=$(basename "$1"/tree/usr/lib/modules/*)
  mv "$1/tree/boot/vmlinuz-$release" "$2/vmlinuz"
  for directory in "${KERNEL_MODULES[@]}"; do
    [[ -d $1/tree/usr/lib/modules/$release/kernel/$directory ]] || continue
    mkdir -p "$2/lib/modules/$release/kernel/$directory"
    cp -r "$1/tree/usr/lib/modules/$release/kernel/$directory/." "$2/lib/modules/$release/kernel/$directory"
  done
  while IFS= read -r -d '' module; do
    unxz "$module"
  done < <(find "$2/lib" -name '*.ko.xz' -print0)
  cp "$1/tree/usr/lib/modules/$release"/modules.{builtin,order} "$2/lib/modules/$release"
  busybox depmod -b "$2" "$release"
}

# A program of this machine with its libraries, at the same paths.
add_program() { # TREE PROGRAM [PATH-IN-TREE]
  local program library
  program=$(command -v "$2") || die "$2 is not installed; run scripts/setup"
  install -D -m 0755 "$program" "$1${3:-$program}"
  for library in $(ldd "$program" 2>/dev/null | grep -oE '/[^ ]+'); do
    [[ -e $1$library ]] || install -D -m 0755 "$library" "$1$library"
  done
}

# Boots VERSION with an initramfs, whose /init has the serial line for its output and turns the machine off, and
# with disks. Prints what it prints. Takes the shell's place.
boot_kernel() { # VERSION INITRAMFS SECONDS DISK...
  local directory disk drives=()
  directory=$(kernel_directory "$1")
  for disk in "${@:4}"; do
    drives+=(-drive "file=$disk,format=raw,if=virtio,cache=unsafe")
  done
  # No acceleration: it is not everywhere, and a kernel is the same without. A panic ends the machine.
  exec timeout "$3" qemu-system-x86_64 -accel tcg -cpu qemu64,+rdrand -m 2048 -nodefaults -display none \
    -serial stdio -monitor none -no-reboot -kernel "$directory/vmlinuz" -initrd "$2" "${drives[@]}" \
    -append "console=ttyS0 panic=-1 quiet loglevel=3 mitigations=off" </dev/null
}
