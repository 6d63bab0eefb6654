# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# every property of a file goes through import, run, commit, build, save and load
begin_scenario

# Everything about the files below a directory, in one text. Directories have sizes and link counts of
# their own on every file system; a time is compared to the second, which is what an engine's tar keeps.
tree() { # DIRECTORY
  (
    cd "$1" || exit
    # Names may hold any byte, hence nothing here may split at white space.
    find . -mindepth 1 \( -type d -printf '%P %y %m %U:%G %TY%Tm%Td%TH%TM%.2TS\n' \) -o \
      -printf '%P %y %m %U:%G links=%n size=%s %l %TY%Tm%Td%TH%TM%.2TS\n'
    find . -type f -print0 | sort -z | xargs -0 -r sha256sum
    find . \( -type c -o -type b \) -print0 | xargs -0 -r stat --format '%n device %t:%T'
    find . -type f -print0 | sort -z | xargs -0 -r getfattr --absolute-names --no-dereference --dump --encoding hex \
      --match '^(security\.capability|user\.)' | awk '/^# file: / { name = $3 } /=/ { print name, $0 }'
  ) | LC_ALL=C sort
}

# --- a tree with one of everything, made outside
source=$SCRATCH/source
mkdir -p "$source"/{bin,files/dir}
cp "$(command -v busybox)" "$source/bin/busybox"
ln -s busybox "$source/bin/sh"
make_everything() (
  cd "$source/files" || exit
  long=$(printf 'n%.0s' {1..255})
  echo plain >plain
  echo hard >hard && ln hard dir/hard2 && ln hard hard3
  ln -s plain link && ln -s /nowhere/at/all dangling && ln -s "$long/$long/$long" long-target
  echo setuid >setuid && chmod 4755 setuid
  echo setgid >setgid && chmod 2755 setgid
  mkdir sticky && chmod 1777 sticky
  echo none >no-permission && chmod 0 no-permission
  cp "$(command -v busybox)" capable && setcap cap_net_raw,cap_net_admin=ep capable
  mkfifo fifo
  mknod null c 1 3 && mknod disk b 7 200 && chmod 0640 disk
  echo attr >attributed && setfattr --name user.note --value 'kept as is' attributed
  echo long >"$long"
  mkdir -p "${long:0:200}/${long:0:200}/${long:0:200}"
  echo deep >"${long:0:200}/${long:0:200}/${long:0:200}/deep"
  echo bytes >$'not-utf8-\xff\xfe' && echo space >' leading and trailing ' && echo nl >$'new\nline' && echo ue >'ü-日本'
  echo owner >owner && chown 3000000:4000000 owner
  chown --no-dereference 12:34 link
  : >empty
  truncate --size 3M sparse
  touch --date '1999-12-31 23:59:59 UTC' old
  touch --date '2001-02-03 04:05:06 UTC' dir sticky
)
make_everything
wanted=$(tree "$source/files")

tar --create --format pax --xattrs --xattrs-include '*' --sort name --directory "$source" . |
  docker import --change 'CMD ["sh"]' - everything >/dev/null
# The import has no sleep of its own.
idle() { docker run --detach --network none --name "$1" --stop-signal KILL "$2" /bin/busybox sleep 100000 >/dev/null; }

idle imported everything
same "import and run keep everything" "$wanted" "$(tree "$(inside imported)/files")"
same "a capability is in force" "/proc/self/root$(inside imported)/files/capable cap_net_admin,cap_net_raw=ep" \
  "$(getcap "/proc/self/root$(inside imported)/files/capable")"

record_image everything everything 2
record_container imported imported

# --- copied up by a change that does not touch content
docker exec imported /bin/busybox sh -c 'cd /files && for f in *; do /bin/busybox touch -h -d "2010-01-01 00:00:00" "$f"; done'
docker exec imported /bin/busybox sh -c 'cd /files && /bin/busybox mknod made c 1 5 && /bin/busybox mkfifo made-fifo &&
  /bin/busybox ln hard made-link && /bin/busybox ln -s made-link made-symlink'
changed=$(tree "$(inside imported)/files")
record_container "imported, changed" imported
docker commit imported committed >/dev/null
record_image committed committed 2
idle committed committed
# What an engine of this version leaves out of a layer: user attributes of files the layer changed.
without_user_attributes() { grep --text -v '^./[^ ]* user\.' <<<"$1"; }
same "commit keeps everything" "$(without_user_attributes "$changed")" \
  "$(without_user_attributes "$(tree "$(inside committed)/files")")"
same "also that a link made in the container is one file with its target" "2 hard made-link" \
  "$(cd "$(inside committed)/files" && echo "$(stat --format %h hard)" "$(find . -samefile hard -printf '%P\n' | sort | xargs)")"
docker rm --force imported committed >/dev/null

# --- removals and replacements in every combination, on three layers
context=$(new_context replace <<'END'
FROM everything
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox mkdir /files/a /files/b /files/c && /bin/busybox touch /files/a/1 /files/b/1 /files/c/1"]
RUN ["/bin/busybox", "sh", "-c", "cd /files && set -e; rm() { /bin/busybox rm \"$@\"; }; rm -r a; /bin/busybox mkdir a; /bin/busybox touch a/2; rm -r b; echo file >b; rm link; /bin/busybox mkdir link; echo in >link/in; rm -r dir; /bin/busybox ln -s c dir; rm dangling null fifo; rm plain; echo again >plain"]
RUN ["/bin/busybox", "sh", "-c", "cd /files && set -e; /bin/busybox touch a/3; /bin/busybox rm a/2 b; /bin/busybox mkdir b; /bin/busybox touch b/only; /bin/busybox mv c d; echo was-null >null; /bin/busybox rm -r link"]
END
)
succeeds "a build that replaces things" classic_build replaced "$context"
idle replaced replaced
record_image replaced replaced 2
record_container replaced replaced
same "each name is what it was last made" "a/3 regular empty file
b/only regular empty file
d/1 regular empty file
dir symbolic link
null regular file
plain regular file" "$(cd "$(inside replaced)/files" && stat --format '%n %F' a/* b/* d/* dir null plain)"
same "and what was removed is gone" "0" \
  "$(cd "$(inside replaced)/files" && find . -name c -o -name link -o -name fifo -o -name dangling -o -path ./a/1 -o -path ./a/2 | wc -l)"
same "with the last content" "again was-null" "$(cd "$(inside replaced)/files" && cat plain null | xargs)"
final=$(tree "$(inside replaced)/files")
docker rm --force replaced >/dev/null

# --- all of it in an archive and back
archives=("everything committed replaced")
# 26.1 never lets go of layers that images share when it saves them together, with any driver.
[[ $ENGINE != 26.1 ]] || archives=(everything committed replaced)
for images in "${archives[@]}"; do
  # shellcheck disable=SC2086  # one word per image
  docker save --output "$SCRATCH/$images.tar" $images
done
remove_everything
load_all() {
  local images
  for images in "${archives[@]}"; do
    docker load --quiet --input "$SCRATCH/$images.tar" || return
  done
}
succeeds "everything can be saved and loaded" load_all
record_image "loaded committed" committed 2
record_image "loaded replaced" replaced 2
idle imported everything
same "with the imported tree as it was" "$wanted" "$(tree "$(inside imported)/files")"
idle replaced replaced
same "and the replaced one" "$final" "$(tree "$(inside replaced)/files")"

# --- attributes that are overlayfs's own must not come in from outside
if uses_overlayd; then
  mkdir "$SCRATCH/evil" && echo x >"$SCRATCH/evil/file"
  setfattr --name trusted.overlay.metacopy "$SCRATCH/evil/file"
  tar --create --file "$SCRATCH/evil.tar" --format pax --xattrs --xattrs-include '*' --directory "$SCRATCH/evil" .
  allow_error "xattr 'trusted.overlay.metacopy'"
  layers=$(layers_on_disk)
  fails_with "a layer with overlayfs's own attributes is refused" \
    "entry './file' at offset 1536: xattr 'trusted.overlay.metacopy'" docker import "$SCRATCH/evil.tar" evil
  same "and leaves no layer" "$layers" "$(layers_on_disk)"
fi
