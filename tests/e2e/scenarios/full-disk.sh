# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# a full disk: images that do not fit are refused with the reason, leave nothing, and all else goes on
# needs: process

# The driver's home gets a file system of its own, so that what the engine keeps beside it fits.
mount_home() { # FS SIZE
  truncate --size "$2" "$SCRATCH/$1.disk"
  "mkfs.$1" -q "$SCRATCH/$1.disk"
  mount -o loop "$SCRATCH/$1.disk" "$(data_root)/$STORAGE_DRIVER"
}

# The engine would mount its root directory on itself, without what is mounted in it.
mkdir -p "$(data_root)/$STORAGE_DRIVER"
mount --bind "$(data_root)" "$(data_root)"
mount --make-shared "$(data_root)"

allow_error "No space left on device" # also the warning of a start that finds no space to try things in
NO_SPACE="No space left on device"

# In megabytes: what is free, and what of it is not reserved for root.
free_mb() { stat --file-system --format '%f * %S / 1048576' "$(home)" | xargs expr; }
usable_mb() { stat --file-system --format '%a * %S / 1048576' "$(home)" | xargs expr; }
# But for one: directories keep the blocks that they have grown by.
has_free() { (($1 - 1 <= $(free_mb))); }
mark_state() { state_free=$(free_mb) state_layers=$(layers_on_disk); }
nothing_changed() { # OF-WHAT
  same "$1: no layer is left" "$state_layers" "$(layers_on_disk)"
  eventually "$1: its space is back" 30 has_free "$state_free"
}

# An image with one file NAME of so many megabytes, as a tar.
image_of() { # NAME MB
  rm -rf "$SCRATCH/content"
  mkdir "$SCRATCH/content"
  truncate --size "${2}M" "$SCRATCH/content/$1"
  tar --create --directory "$SCRATCH/content" .
}
import_large() { image_of "$1" "$2" | docker import - "$1"; }

fill_up() { # the rest of the disk, to the last block
  dd if=/dev/zero of="$(home)/filler" bs=1M status=none 2>/dev/null || true
  dd if=/dev/zero of="$(home)/filler" bs=4K status=none oflag=append conv=notrunc 2>/dev/null || true
}

show_a_full_disk() { # FS
  local free fits much
  free=$(usable_mb)
  fits=$((free * 6 / 10)) much=$((free * 12 / 10))

  mark_state
  image_of much "$much" >"$SCRATCH/much.tar"
  fails_with "$1: import of what does not fit says why" "$NO_SPACE" docker import "$SCRATCH/much.tar" much
  nothing_changed "$1: import"
  rm "$SCRATCH/much.tar"

  succeeds "$1: an image that fits is imported" import_large first "$fits"
  quietly docker save --output "$SCRATCH/first.tar" first
  quietly docker rmi first
  eventually "$1: and gives its space back" 30 has_free "$state_free"
  succeeds "$1: another one takes its place" import_large second "$fits"
  mark_state
  fails_with "$1: load of what does not fit says why" "$NO_SPACE" docker load --input "$SCRATCH/first.tar"
  nothing_changed "$1: load"
  rm "$SCRATCH/first.tar"

  context=$(new_context large <<<$'FROM busybox\nCOPY large /')
  truncate --size "${much}M" "$context/large"
  fails_with "$1: build of what does not fit says why" "no space left on device" classic_build built "$context"
  rm "$context/large"
  nothing_changed "$1: build"
  quietly docker rmi second

  docker run --network none --name writer busybox dd if=/dev/zero of=/large bs=1M count="$fits" 2>/dev/null
  mark_state
  fails_with "$1: commit of what does not fit says why" "$NO_SPACE" docker commit writer written
  nothing_changed "$1: commit"
  same "$1: the container has all it wrote" "A /large" "$(changes_of writer)"

  fill_up
  fails_with "$1: on a disk that somebody filled nothing is made" "$NO_SPACE" import_large second 1
  succeeds "$1: containers are removed" docker rm writer
  eventually "$1: and give their space back" 30 has_free "$fits"
  fill_up
  stop_overlayd
  start_overlayd
  succeeds "$1: overlayd starts there, and images can be removed" docker rmi busybox
  rm "$(home)/filler"
}

mount_home ext4 100M
begin_scenario
show_a_full_disk ext4
succeeds "everything can be removed" remove_everything
eventually "no layer is left" 10 store_has_no_layers
stop_dockerd
stop_overlayd
umount "$(home)"

mount_home xfs 300M
start_overlayd
start_dockerd
import_busybox busybox >/dev/null
show_a_full_disk xfs
import_busybox busybox >/dev/null
same "the engine works on" "works" "$(run busybox echo works)"
