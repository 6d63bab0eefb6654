# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# every kind of content at fixed times: layers that come out the same to the byte, on any driver
begin_scenario

# One file of each kind below DIRECTORY. What a base image holds is made outside and imported, what a container
# adds is made in its root from outside, as busybox has no tools for attributes.
make_everything() ( # DIRECTORY
  local long
  mkdir "$1" && cd "$1" || exit
  long=$(printf 'n%.0s' {1..255})
  mkdir -p dir doomed/sub again/old sticky 'with space' && echo x >doomed/sub/x && echo y >again/old/y
  echo plain >plain && : >empty && echo same-size >same && echo replaced >file-to-dir
  mkdir dir-to-file && echo inside >dir-to-file/inside && mkdir dir-to-link && echo kept >dir-to-link/kept
  echo hard >hard && ln hard dir/hard2 && ln hard hard3
  ln -s plain link && ln -s /nowhere/at/all dangling && ln -s "$long/$long" long-target && chown -h 12:34 link
  for i in 4755 2755 6711 0000 0640; do echo "$i" >"mode$i" && chmod "$i" "mode$i"; done
  chmod 1777 sticky && chmod 2775 dir && mkdir -m 0000 closed
  mkfifo fifo && mknod char c 1 3 && mknod block b 7 200 && chmod 0604 char && ln fifo fifo2
  echo owner >owner && chown 3000000:4000000 owner && mkdir owned && chown 65534:100 owned
  echo long >"$long" && mkdir -p "${long:0:150}/${long:0:150}" && echo deep >"${long:0:150}/${long:0:150}/deep"
  echo hundred >"${long:0:101}" && ln -s x "${long:0:102}"
  mkdir "${long:0:90}" && echo split >"${long:0:90}/${long:0:90}"
  echo bytes >$'not-utf8-\xff\xfe' && echo ue >'ü-日本' && echo nl >$'new\nline'
  echo equals >'a=b' && echo spaces >'with space/ x '
  truncate --size 3M sparse && printf end >>sparse
  seq 300000 >big
  cp "$(command -v busybox)" capable && chown 0:7 capable && setcap cap_net_raw,cap_net_admin=ep capable
)

# What overlayd is meant to write otherwise than Docker's driver.
acl=0x0200000001000600ffffffff02000600d2040000040004000000000010000600000000002000040000000000
make_special() ( # DIRECTORY
  mkdir -p "$1/dir" && cd "$1" || exit
  echo note >attributed && setfattr --name user.note --value 'kept as is' attributed
  setfattr --name user.on-dir --value '' dir
  echo acl >acl && setfattr --name system.posix_acl_access --value "$acl" acl
  mknod char c 1 3 && ln char char2
)

# Every time below DIRECTORY, to the nanosecond: a whole second, and something after one.
fix_times() ( # DIRECTORY SECONDS
  find "$1" ! -name 'd*' -print0 | xargs -0 touch --no-dereference --date "@$2.123456789"
  find "$1" -name 'd*' -print0 | xargs -0 -r touch --no-dereference --date "@$2"
)

# What a container has done becomes an image, and is written down.
commit_as() { # CONTAINER IMAGE FIRST-LAYER
  docker stop "$1" >/dev/null
  record_container "$1" "$1"
  docker commit "$1" "$2" >/dev/null
  record_image "$2" "$2" "$3"
  docker rm "$1" >/dev/null
}

digest() { sha256sum <"$1" | sed 's/^\([0-9a-f]*\).*/sha256:\1/'; }

# --- an import
mkdir -p "$SCRATCH/base"
cp -a "$SCRATCH/busybox-root/." "$SCRATCH/base/"
make_everything "$SCRATCH/base/made"
make_special "$SCRATCH/base/special"
fix_times "$SCRATCH/base" 981173106
tar --create --format pax --pax-option 'exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' \
  --xattrs --xattrs-include '*' --numeric-owner --sort name --directory "$SCRATCH/base" . >"$SCRATCH/base.tar"
docker import --change 'CMD ["sh"]' - base <"$SCRATCH/base.tar" >/dev/null
same "an imported layer has the digest of its tar" "$(digest "$SCRATCH/base.tar")" \
  "$(docker image inspect base --format '{{join .RootFS.Layers " "}}')"
record_image base base

# --- added by a container
run_idle add base
make_everything "$(inside add)/added"
fix_times "$(inside add)/added" 1000000000
commit_as add added 2

run_idle special added
make_special "$(inside special)/special2"
fix_times "$(inside special)/special2" 1050000000
commit_as special special 3

# --- changed by a container, with nothing deleted: a deletion always has its time from the clock
run_idle change special
(
  cd "$(inside change)/added" || exit
  echo more >>plain && chmod 0600 owner && chown 5:6 empty && ln big big2
  echo SAME-SIZE >same && touch -d @1000000000.123456789 same
  touch -h -d @1000000001 link && rm fifo2 && ln fifo fifo2
  setcap cap_chown=ep capable && mkdir -p owned/new && echo n >owned/new/n
  chmod 0700 . && truncate --size 5M sparse
)
fix_times "$(inside change)/added" 1100000000
commit_as change changed 4

# --- deleted and replaced
run_idle delete changed
(
  cd "$(inside delete)/added" || exit
  rm plain link fifo hard && rm -r doomed && mv hard3 hard4
  rm -r again && mkdir again && echo new >again/new
  rm file-to-dir && mkdir file-to-dir && echo in >file-to-dir/in
  rm -r dir-to-file && echo file >dir-to-file
  rm -r dir-to-link && ln -s again dir-to-link
  rm block && mknod block c 7 200 && rm -r closed && mkdir closed && rmdir closed
  mkdir never && rmdir never && rm dangling && mkfifo dangling
  cd ../special2 && rm char2 && chown 5:6 attributed && chmod 0666 acl
  setfattr --name user.note --value changed attributed
)
fix_times "$(inside delete)/added" 1200000000
fix_times "$(inside delete)/special2" 1200000000
commit_as delete deleted 5

# --- the same by builders, from a context of fixed times
for builder in classic_build buildkit_build; do
  context=$(new_context "$builder" <<'EOF'
FROM base
COPY tree/ /copied/
COPY --chown=5:6 tree/plain tree/hard /copied/chowned/
RUN mkdir -p /built/dir && echo built >/built/file && ln /built/file /built/dir/hard && ln -s file /built/link && \
  mkfifo /built/fifo && mknod /built/null c 1 3 && chmod 4711 /built/file && chown 3000000:7 /built/null && \
  seq 300000 >/built/big && find /built -depth -exec touch -h -d "2002-02-02 02:02:02" {} \;
RUN chmod 0700 /built && echo more >>/built/file && find /built -depth -exec touch -h -d "2003-03-03 03:03:03" {} \;
RUN rm -r /built/dir /built/fifo && mkdir /built/dir && echo anew >/built/dir/anew && rm /made/plain
WORKDIR /work/here
EOF
  )
  make_everything "$context/tree"
  # What the client of a builder does not send.
  rm "$context"/tree/{fifo,fifo2,char,block}
  fix_times "$context/tree" 1300000000
  succeeds "$builder" "$builder" "by-$builder" "$context"
  record_image "$builder" "by-$builder" 2
done

# --- an image of fixed bytes, with deletions: ids and archives are the same everywhere
mkdir -p "$SCRATCH/upper/made/again" "$SCRATCH/image"
(
  cd "$SCRATCH/upper/made" || exit
  : >.wh.plain && : >.wh.doomed && : >again/.wh..wh..opq && echo new >again/new && : >.wh.nothing
)
fix_times "$SCRATCH/upper" 1400000000
tar --create --format pax --pax-option 'exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' \
  --numeric-owner --sort name --directory "$SCRATCH/upper" made >"$SCRATCH/image/upper.tar"
cp "$SCRATCH/base.tar" "$SCRATCH/image/base.tar"
fixed_image() (
  cd "$SCRATCH/image" || exit
  jq --null-input --arg base "$(digest base.tar)" --arg upper "$(digest upper.tar)" '{
    architecture: "amd64", os: "linux", created: "2001-02-03T04:05:06Z", config: {Cmd: ["sh"]},
    rootfs: {type: "layers", diff_ids: [$base, $upper]},
    history: [{created: "2001-02-03T04:05:06Z"}, {created: "2001-02-03T04:05:06Z"}]}' >config.json
  jq --null-input '[{Config: "config.json", RepoTags: ["fixed:latest"], Layers: ["base.tar", "upper.tar"]}]' \
    >manifest.json
  tar --create .
)
remove_everything
fixed_image | docker load --quiet >/dev/null
same "a loaded image has the digest of its config" "$(digest "$SCRATCH/image/config.json")" \
  "$(docker image inspect fixed --format '{{.Id}}')"
record_image fixed fixed
docker save fixed | record_tar "archive of fixed"
docker create --name fixed --network none fixed >/dev/null
record_container fixed fixed
same "deletions of a loaded layer hold" "made/again/ made/again/new" \
  "$(docker cp fixed:/made - | tar --list | grep -E '^made/(again|plain|doomed)' | xargs)"
docker rm fixed >/dev/null
