# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# many things at once on one base image: containers, commits, builds, loads, removals
begin_scenario

context=$(new_context shared <<'END'
FROM busybox
RUN mkdir /shared && for i in $(seq 200); do echo $i >/shared/$i; done
END
)
classic_build shared "$context"
docker save --output "$SCRATCH/shared.tar" shared

# Runs NAME 1 … NAME COUNT at once; prints what each said, in order.
all_at_once() { # COUNT FUNCTION
  local i pids=() bad=0
  for i in $(seq "$1"); do
    "$2" "$i" >"$SCRATCH/job-$2-$i" 2>&1 &
    pids+=($!)
  done
  for i in "${pids[@]}"; do
    wait "$i" || bad=$((bad + 1))
  done
  for i in $(seq "$1"); do
    cat "$SCRATCH/job-$2-$i"
  done
  ((bad == 0)) || say "$bad jobs failed"
}

life_of_container() {
  docker run --network none --name "life$1" shared sh -c "rm /shared/$1 && echo mine >/shared/mine$1" &&
    docker diff "life$1" | LC_ALL=C sort -k 2 | xargs &&
    docker commit "life$1" "image$1" >/dev/null &&
    docker rm "life$1" >/dev/null &&
    docker run --rm --network none "image$1" sh -c 'ls /shared | wc -l'
}
same "eight containers are run, compared, committed and removed" \
  "$(for i in $(seq 8); do printf 'C /shared D /shared/%s A /shared/mine%s\n200\n' "$i" "$i"; done)" \
  "$(all_at_once 8 life_of_container)"

build_one() {
  local dir
  dir=$(printf 'FROM shared\nRUN echo %s >/who && rm -r /shared\nRUN echo again >>/who\n' "$1" | new_context "build$1")
  if (($1 % 2)); then classic_build "built$1" "$dir"; else buildkit_build "built$1" "$dir"; fi &&
    docker run --rm --network none "built$1" sh -c 'echo $(cat /who) $(ls /shared 2>&1)'
}
same "six builds, every other with BuildKit" \
  "$(for i in $(seq 6); do echo "$i again ls: /shared: No such file or directory"; done)" \
  "$(all_at_once 6 build_one)"

# Image by image, while another is loaded: removing a layer and making one on its parent meet.
remove_one() { docker rmi "image$1" >/dev/null; }
docker load --quiet --input "$SCRATCH/shared.tar" >/dev/null &
load=$!
same "eight images are removed during a load" "" "$(all_at_once 8 remove_one)"
loaded=0
wait "$load" || loaded=$?
same "and the load succeeds" 0 "$loaded"
same "with the right content" "200" "$(run shared sh -c 'ls /shared | wc -l')"

holder() { docker cp "held:/shared/$1" - | tar --extract --to-stdout; }
run_idle held shared
same "sixteen readers of one container's layer" "$(seq 16)" "$(all_at_once 16 holder)"
same "leave it mounted once" 1 "$(layer_mounts | grep -c .)"
