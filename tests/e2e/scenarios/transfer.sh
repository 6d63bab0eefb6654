# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# save and load: archives must be identical to the byte, also through an emptied engine
begin_scenario

context=$(new_context app <<'END'
FROM busybox
RUN mkdir -p /a/b && echo one >/a/one && ln -s one /a/link && ln /a/one /a/hard && chmod 4755 /bin/busybox
RUN rm /a/one && rm -r /a/b && mkdir /a/b && mkfifo /a/fifo && chown -h 12:34 /a/link /a/hard
COPY file /a/
END
)
echo content >"$context/file"
TZ=UTC touch --date '2001-02-03 04:05:06' "$context/file"
classic_build app "$context"
record_image app app 2
tag_layers() { docker image inspect "$1" --format '{{json .RootFS.Layers}}'; }
listing() { run app sh -c 'cd /a && stat -c "%n %A %u:%g %h %s" *'; }
layers=$(tag_layers app)
wanted=$(listing)

succeeds "save" docker save --output "$SCRATCH/app.tar" app
tar --extract --file "$SCRATCH/app.tar" --directory "$(mkdir -p "$SCRATCH/saved" && echo "$SCRATCH/saved")"
saved_layers() { jq -r '.[0].Layers[]' "$SCRATCH/saved/manifest.json"; }
same "has each layer once" 4 "$(tar --list --file "$SCRATCH/app.tar" | grep -cxF "$(saved_layers)")"
# The name of a layer is the hash of its tar: this is where lost or changed bytes show.
hashes=""
while read -r layer; do
  hashes+=",\"sha256:$(sha256sum <"$SCRATCH/saved/$layer" | cut -d ' ' -f 1)\""
done < <(saved_layers)
same "and its tars hash to the image's layers" "$layers" "[${hashes#,}]"

remove_everything
same "the engine is empty" "" "$(docker images --all --quiet)$(layers_on_disk)"

succeeds "load" docker load --quiet --input "$SCRATCH/app.tar"
same "gives the same layers" "$layers" "$(tag_layers app)"
record_image loaded app 2
same "with the same files" "$wanted" "$(listing)"
same "and the same time" "2001-02-03 04:05:06" "$(run app sh -c 'TZ=UTC stat -c %y /a/file' | cut -d . -f 1)"

# Every byte of an archive, but for the time of saving, which some of its files bear since 25.0.
hash_of() { # ARCHIVE
  if [[ $ENGINE == 20.10 ]]; then
    sha256sum <"$1"
  else
    tar --extract --file "$1" --to-command 'echo "$TAR_FILENAME $(sha256sum)"'
  fi
}
succeeds "save again" docker save --output "$SCRATCH/again.tar" app
same "is the same archive" "$(hash_of "$SCRATCH/app.tar")" "$(hash_of "$SCRATCH/again.tar")"
succeeds "load of what is there already" docker load --quiet --input "$SCRATCH/again.tar"
same "changes nothing" "$layers" "$(tag_layers app)"

# --- one that is cut off must leave nothing
remove_everything
head --bytes 1000000 "$SCRATCH/app.tar" >"$SCRATCH/cut.tar"
fails_with "a cut archive is refused" "unexpected EOF" docker load --quiet --input "$SCRATCH/cut.tar"
same "and leaves no image" "" "$(docker images --all --quiet)"
same "and no layer" "" "$(layers_on_disk)"
