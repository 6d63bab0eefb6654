# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# import, classic build, layers on layers, image removal
begin_scenario

same "info names the driver" "$STORAGE_DRIVER" "$(docker info --format '{{.Driver}}')"
same "info shows that file types are known" "true" \
  "$(docker info --format '{{json .DriverStatus}}' | jq -r '.[] | select(.[0] == "Supports d_type")[1]')"

same "the imported image runs" "hello from busybox" "$(run busybox echo hello from busybox)"
same "its files have their modes" "1777 /tmp
700 /root" "$(run busybox stat -c '%a %n' /tmp /root)"

context=$(new_context app <<'END'
FROM busybox
RUN echo one >/one && mkdir -p /data/sub && echo two >/data/sub/two
COPY greeting /data/
RUN rm /one && echo more >>/data/greeting
WORKDIR /work/here
END
)
echo "hello" >"$context/greeting"
succeeds "classic build" classic_build app "$context"
same "RUN and COPY are in the image" "hello
more
two" "$(run app cat /data/greeting /data/sub/two)"
fails_with "a file removed by RUN is gone" "No such file" run app cat /one
same "WORKDIR made its directory" "/work/here" "$(run app pwd)"
# The import, RUN, COPY, RUN and WORKDIR.
same "each step is a layer" 5 "$(docker image inspect app --format '{{len .RootFS.Layers}}')"
record_image app app

layers=$(layers_on_disk)
succeeds "the same build again" classic_build app "$context"
same "uses the cache and makes no layer" "$layers" "$(layers_on_disk)"

echo "bonjour" >"$context/greeting"
succeeds "a changed build" classic_build app2 "$context"
same "has the change" "bonjour
more" "$(run app2 cat /data/greeting)"
same "and leaves the first image alone" "hello
more" "$(run app cat /data/greeting)"

succeeds "rmi" docker rmi app2
same "removes exactly the layers nobody else uses" "$layers" "$(layers_on_disk)"
record "disk use" "$(docker system df --format '{{.Type}} {{.TotalCount}} {{.Size}}' | xargs)"
fails_with "an image that others are built on is kept" "has dependent child images" docker rmi "$(docker image inspect busybox --format '{{.Id}}')"
