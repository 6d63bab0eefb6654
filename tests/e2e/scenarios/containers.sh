# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# run, diff, commit, cp, prune; what one container does, another does not see
begin_scenario

context=$(new_context base <<'END'
FROM busybox
RUN mkdir -p /d/keep /d/drop /e && touch /d/keep/a /d/drop/b /d/c /e/f && echo text >/t
END
)
classic_build base "$context"

docker run --network none --name box base true
same "a container that changed nothing has no changes" "" "$(changes_of box)"
docker rm box >/dev/null

docker run --network none --name box base sh -c '
  echo more >>/t
  echo new >/new
  mkdir /dir && echo x >/dir/x
  rm /d/c
  rm -r /d/drop
  chmod 0700 /d/keep
  rm -r /e && mkdir /e && touch /e/g
  rm -r /root && ln -s /tmp /root
'
# Exactly what comparing the two trees gives, as the built-in driver reports it.
same "diff lists every change" "C /d
D /d/c
D /d/drop
C /d/keep
A /dir
A /dir/x
C /e
D /e/f
A /e/g
A /new
C /root
C /t" "$(changes_of box)"

record_container box box
succeeds "commit" docker commit box committed
record_image committed committed 2
same "the committed image has the changes" "text
more
new
x
g
/tmp
700" "$(run committed sh -c 'cat /t /new /dir/x; ls /e; readlink /root; stat -c %a /d/keep')"
same "and not what was removed" "keep" "$(run committed ls /d)"
same "a container of it has no changes" "" "$(docker run --network none --name box2 committed true; changes_of box2)"
# text+more, new, x; the target of the link "/tmp".
same "its size is what was written" 20 "$(docker inspect --size box | jq '.[0].SizeRw')"

# --- cp, with the container stopped and running, both ways
mkdir "$SCRATCH/in"
echo "from outside" >"$SCRATCH/in/file"
ln -s file "$SCRATCH/in/link"
succeeds "cp into a stopped container" docker cp "$SCRATCH/in" box:/copied
succeeds "cp out of a stopped container" docker cp box:/copied "$SCRATCH/out"
same "gives the same tree" "" "$(diff --recursive --no-dereference "$SCRATCH/in" "$SCRATCH/out" 2>&1)"
run_idle running committed
succeeds "cp into a running container" docker cp "$SCRATCH/in/file" running:/e/copied
same "which sees it" "from outside" "$(docker exec running cat /e/copied)"
docker cp box:/copied - | record_tar "cp out of box"
docker cp running:/e - | record_tar "cp out of one that runs"
same "cp out to a stream" "from outside" "$(docker cp running:/e/copied - | tar --extract --to-stdout)"

# --- several containers on one image do not see each other
run_idle first base
run_idle second base
docker exec first sh -c 'echo one >/mine'
docker exec second sh -c 'echo two >/mine; rm /t'
same "writes of one container stay in it" "one text" "$(docker exec first sh -c 'echo $(cat /mine /t)')"
same "and of the other" "two" "$(docker exec second cat /mine)"
record_container second second
docker stop first >/dev/null
docker start first >/dev/null
same "a restarted container has its files" "one" "$(docker exec first cat /mine)"
fails_with "a running container is not removed" "or force remove" docker rm first
succeeds "unless forced" docker rm --force first
same "which leaves the others alone" "two" "$(docker exec second cat /mine)"

before=$(layers_on_disk | wc -l)
succeeds "prune" docker container prune --force
# box and box2; a container has a layer of its own and an -init layer below it.
same "removes the stopped containers' layers" "$((before - 4))" "$(layers_on_disk | wc -l)"
