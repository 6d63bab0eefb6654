#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Limits of layers on a file system with project quotas: xfs or ext4.
HERE=$(dirname "${BASH_SOURCE[0]}")
FS=$1
SCENES=("${@:2}")
((${#SCENES[@]} > 0)) || SCENES=(bytes inodes restarts defaults full_apply ids kills)
DISK=/disk/$FS
case $FS in
  xfs) DEVICE=/dev/vda ;;
  ext4) DEVICE=/dev/vdb ;;
esac
mkdir -p "$DISK"
set -- "$DISK/home"
source "$HERE/lib.sh"

# --- what is looked at ----------------------------------------------------------------------------------

quota() { overlayd show --json "$HOME_DIR" "$1" | jq -r ".quota$2"; } # ID JQ-PATH

# Writes until it cannot go on; prints how many KiB there were room for. What it says of it is in $WORK/why.
fill() { # FILE
  dd if=/dev/zero of="$1" bs=64k 2>"$WORK/why" || true
  if [[ -e $1 ]]; then
    sync "$1"
    du -k "$1" | cut -f 1
  else
    printf 0
  fi
}

# Makes files until it cannot; prints how many.
fill_inodes() { # DIRECTORY
  local n=0
  mkdir -p "$1"
  while ((n < 10000)) && : 2>"$WORK/why" >"$1/$n"; do
    n=$((n + 1))
  done 2>"$WORK/why"
  printf '%d' "$n"
}

is_between() { # NAME LEAST MOST GOT
  if (($2 <= $4 && $4 <= $3)); then
    ok "$1"
  else
    not_ok "$1" "wanted: $2 to $3"$'\n'"got:    $4"
  fi
}

fails_for_space() { # NAME
  if grep -qE 'Disk quota exceeded|No space left on device' "$WORK/why"; then
    ok "$1"
  else
    not_ok "$1" "$(cat "$WORK/why")"
  fi
}

mkdir_is_refused() { ! mkdir "$1" 2>"$WORK/why"; }

# --- the scenes ----------------------------------------------------------------------------------------

without_enforcement() {
  mount -t "$FS" "$DEVICE" "$DISK"
  start
  init_with overlayd.size=20M
  says "a limit for all is refused where the file system enforces none" "mount it with the option 'prjquota'"
  init
  is "the engine is told that there are no quotas" "false" "$(status_row "Layer Quotas")"
  create_rw limited "" '{"size":"20M"}'
  says "and so is one container's" "mount it with the option 'prjquota'"
  end TERM
  rm -rf /run/state/* "$HOME_DIR"
  umount "$DISK"
  mount -t "$FS" -o prjquota "$DEVICE" "$DISK"
  start
}

prepare() {
  init
  is "the engine is told that there are quotas" "true" "$(status_row "Layer Quotas")"
  filled base "" 'dd if=/dev/zero of=below bs=1M count=8 2>/dev/null'
}

bytes() {
  create_rw one-init base '{"size":"20M"}'
  succeeded "the layer below a container's gets a limit"
  create_rw one one-init '{"size":"20M"}'
  succeeded "and the container's"
  get one
  is "df shows the limit" "20480" "$(df -k "$DIR" | awk 'NR == 2 { print $2 }')"
  is_between "so much can be written" 19000 20480 "$(fill "$DIR/large")"
  fails_for_space "and the rest is refused"
  rm "$DIR/large"
  is_between "room that was made can be used again" 19000 20480 "$(fill "$DIR/again")"
  if cp "$DIR/below" "$WORK/copy" && ! : 2>"$WORK/why" >>"$DIR/below"; then
    fails_for_space "a copy of what lies below counts"
  else
    not_ok "a copy of what lies below counts" "it could be made"
  fi
  is "show tells the limit" "20971520" "$(quota one .most_bytes)"
  is "and that there is none for files" "null" "$(quota one .most_inodes)"
  is_between "and what is used" 19000000 20971520 "$(quota one .bytes)"
  is "each has a project of its own from the usual range" "2" \
    "$( (quota one-init .project && quota one .project) | sort -u | grep -c '^2097[1-3]..$')"
  is "a layer of an image has none" "null" "$(quota base '')"

  put one
  get one
  succeeded "a full container is mounted again"
  is "and is no less full" "0" "$(fill "$DIR/more")"
  is "at the same limit" "20971520" "$(quota one .most_bytes)"

  create_rw free base
  get free
  is "a container without a limit has room" "30720" \
    "$(dd if=/dev/zero of="$DIR/large" bs=1M count=30 2>/dev/null && sync "$DIR/large" && du -k "$DIR/large" | cut -f 1)"
  put free
  remove free
  put one
  remove one
  remove one-init
}

inodes() {
  create_rw two base '{"inodes":"100"}'
  succeeded "a number of files can be limited"
  get two
  is_between "so many can be made" 85 97 "$(fill_inodes "$DIR/many")"
  fails_for_space "and the next is refused"
  put two
  get two
  succeeded "a container with all its files is mounted again"
  if mkdir_is_refused "$DIR/one-more" && mkdir_is_refused "$DIR/two-more"; then
    fails_for_space "and has no room for more"
  else
    not_ok "and has no room for more" "$(quota two '')"
  fi
  is "its limit is the same" "100" "$(quota two .most_inodes)"
  put two
  remove two
}

restarts() {
  local signal project
  create_rw one base '{"size":"10M"}'
  get one
  fill "$DIR/large" >/dev/null
  project=$(quota one .project)
  for signal in TERM KILL; do
    restart "$signal"
    init
    succeeded "SIG$signal: an Init under a mounted container"
    is "SIG$signal: it is limited as before" "0" "$(fill "$DIR/more")"
    create_rw "new-$signal" base '{"size":"5M"}'
    succeeded "SIG$signal: another one can be made"
    is "SIG$signal: that has a project of its own" "1" \
      "$(printf '%s\n' one new-TERM new-KILL | projects | grep -cx "$(quota "new-$signal" .project)")"
  done
  is "its project has not changed" "$project" "$(quota one .project)"
  put one
  for id in new-TERM new-KILL one; do
    remove "$id"
    succeeded "$id is removed"
  done
}
projects() {
  local id
  while read -r id; do [[ ! -e $HOME_DIR/$id ]] || quota "$id" .project; done
}

defaults() {
  local option
  for option in overlayd.size=10M overlay2.size=10M; do
    init_with "$option" overlayd.inodes=1000
    succeeded "$option: an Init with it"
    create_rw usual base
    is "$option: is what a container gets" "10485760 1000" "$(quota usual .most_bytes) $(quota usual .most_inodes)"
    create_rw special base '{"size":"3M"}'
    is "$option: one that asks for another gets that" "3145728 1000" \
      "$(quota special .most_bytes) $(quota special .most_inodes)"
    create_rw unlimited base '{"size":"0","inodes":"0"}'
    is "$option: and one that asks for none none" "null" "$(quota unlimited '')"
    create image base
    is "$option: layers of images have none" "null" "$(quota image '')"
    for id in usual special unlimited image; do remove "$id"; done
  done
}

# A tar of what does not fit.
full_apply() {
  init
  create_rw small base '{"size":"4M"}'
  mkdir "$WORK/content"
  dd if=/dev/zero of="$WORK/content/large" bs=1M count=8 2>/dev/null
  apply small base < <(tar --create --directory "$WORK/content" .)
  if [[ $BODY == *"quota exceeded"* || $BODY == *"No space left"* ]]; then
    ok "a tar larger than the limit is refused with the reason"
  else
    not_ok "a tar larger than the limit is refused with the reason" "$STATUS $BODY"
  fi
  is "what was unpacked is gone" "" "$(ls "$HOME_DIR/small/partial")$(ls "$HOME_DIR/small/diff")"
  get small
  says "the layer can only be removed" "can only be removed"
  remove small
  succeeded "and is"
}

ids() {
  init_with overlayd.project_ids=5000-5001
  create_rw a base '{"size":"5M"}'
  create_rw b base '{"inodes":"500"}'
  is "ids are from the range" "5000 5001" "$(quota a .project) $(quota b .project)"
  create_rw c base '{"size":"5M"}'
  says "a third does not find one" "every project id from 5000 to 5001 is taken"
  is "and leaves nothing" "" "$(ls "$HOME_DIR/.overlayd/staging")"
  restart KILL
  create_rw c base '{"size":"5M"}'
  says "nor after a restart" "every project id from 5000 to 5001 is taken"
  remove a
  eventually "an id is free when its layer is removed" can_create c
  is "and is given out again" "5000" "$(quota c .project)"
  remove b
  eventually "what is removed is deleted" trash_is_empty
  mkdir "$DISK/foreign"
  chattr -p 5001 "$DISK/foreign"
  create_rw d base '{"size":"5M"}'
  says "an id that somebody else uses is left alone" "every project id from 5000 to 5001 is taken"
  rmdir "$DISK/foreign"
  eventually "until he does not" can_create d
  remove c
  remove d
}
can_create() {
  create_rw "$1" base '{"size":"5M"}'
  [[ $STATUS == 200 ]]
}

# Killed at any place, it must not lose an id: in the end all can be had at once.
kills() {
  local round id caller
  end TERM
  start
  init_with overlayd.project_ids=6000-6009
  for round in 1 2 3 4 5 6; do
    (
      WORK=$(mktemp -d)
      for id in 1 2 3 4 5 6; do
        create_rw "k$round-$id" base '{"size":"5M"}'
        remove "k$round-$id"
      done
      rm -rf "$WORK"
    ) >/dev/null 2>&1 &
    caller=$!
    sleep "0.$((round * 15))"
    restart KILL
    wait "$caller" || true
  done
  for id in "$HOME_DIR"/k*; do
    [[ ! -e $id ]] || remove "$(basename "$id")"
  done
  eventually "all that was killed away is deleted" trash_is_empty
  is "nothing is left in staging" "" "$(ls "$HOME_DIR/.overlayd/staging")"
  for id in 0 1 2 3 4 5 6 7 8 9; do
    before 20 can_create "all-$id" || true
  done
  is "no id is lost by kills" "10" "$(printf '%s\n' "$HOME_DIR"/all-? | wc -l | tr -d ' ')"
  for id in 0 1 2 3 4 5 6 7 8 9; do remove "all-$id"; done
}

handed_down() {
  end TERM
  remove_all_state
  HOME_DIR=$DISK/inherited
  mkdir "$HOME_DIR"
  chattr -p 77 "$HOME_DIR"
  chattr +P "$HOME_DIR"
  start
  init
  succeeded "a home in a project that it hands down is served"
  create plain
  succeeded "with layers that have no limits"
  create_rw limited plain '{"size":"5M"}'
  says "but none with limits" "is itself in project 77 and hands that down"
  remove plain
}
remove_all_state() { rm -rf /run/state/*; }

# The first and the last make the rest possible.
main() {
  local scene start
  without_enforcement
  prepare
  for scene in "${SCENES[@]}"; do
    start=$SECONDS
    "$scene"
    echo "# $scene: $((SECONDS - start)) s"
  done
  remove base
  eventually "all that was removed is deleted" trash_is_empty
  handed_down
  end TERM
  is "overlayd says nothing is wrong" "" "$(grep -iE 'warn|critical' "$LOG" || true)"
}

main
