# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# BuildKit: RUN, COPY, several stages, mounts in a build, its cache
begin_scenario

context=$(new_context bk <<'END'
FROM busybox AS builder
WORKDIR /src
COPY input/ .
RUN tr a-z A-Z <words >upper && mkdir deep && for i in $(seq 50); do echo $i >deep/$i; done
RUN rm -r deep && mkdir deep && echo last >deep/only

FROM busybox AS other
RUN echo from-other >/other

FROM busybox
COPY --from=builder /src/upper /src/deep /app/
COPY --from=other /other /app/
RUN --mount=type=bind,from=builder,source=/src,target=/mnt cat /mnt/words >/app/bound
RUN --mount=type=cache,target=/cache echo kept >/cache/file && cp /cache/file /app/cached
END
)
mkdir -p "$context/input"
echo "some words" >"$context/input/words"

succeeds "build with stages and mounts" buildkit_build bk "$context"
record_image bk bk 2
same "the result has what each stage gave" "bound
cached
only
other
upper" "$(run bk ls /app)"
same "with the right content" "some words
kept
last
from-other
SOME WORDS" "$(run bk sh -c 'cd /app && cat bound cached only other upper')"
same "mount points of the build are left empty" "" "$(run bk sh -c 'ls /cache /mnt 2>/dev/null | grep -v :')"

first=$(docker image inspect bk --format '{{json .RootFS.Layers}}')
succeeds "the same build again" buildkit_build bk "$context"
same "gives the same layers" "$first" "$(docker image inspect bk --format '{{json .RootFS.Layers}}')"

# A stage as the result: its layer must show the directory that was removed and made again as new.
DOCKER_BUILDKIT=1 docker build --quiet --network none --target builder --tag stage "$context" >/dev/null
record_image stage stage 2
same "a removed and re-made directory has only the new files" "only" "$(run stage ls /src/deep)"

echo "other words" >"$context/input/words"
succeeds "a changed input" buildkit_build bk2 "$context"
same "changes what depends on it" "other words
OTHER WORDS" "$(run bk2 cat /app/bound /app/upper)"

# Both builders share the layer store: each must be able to build on the other's images.
on_bk=$(new_context classic-on-buildkit <<'END'
FROM bk2
RUN echo classic >/app/classic
END
)
succeeds "a classic build on a BuildKit image" classic_build mixed "$on_bk"
record_image mixed mixed 2
same "sees all layers" "classic OTHER WORDS" "$(run mixed sh -c 'echo $(cat /app/classic /app/upper)')"

succeeds "the build cache can be pruned" docker builder prune --all --force
same "images built with it still run" "OTHER WORDS" "$(run bk2 cat /app/upper)"
