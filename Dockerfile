# SPDX-License-Identifier: Apache-2.0
# The root file system of the managed plugin; config.json goes beside it.
FROM debian:bookworm AS build
WORKDIR /src
COPY . .
RUN scripts/setup --build && cmake --preset release && cmake --build --preset release

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libcpp-httplib0.11 libarchive13 libspdlog1.10 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/release/overlayd /usr/bin/overlayd
RUN mkdir -p /run/docker/plugins /var/lib/overlayd
ENTRYPOINT ["/usr/bin/overlayd"]
