# SPDX-License-Identifier: Apache-2.0
# The root file system of the managed plugin, as scripts/build-plugin makes it; config.json goes beside it.
FROM debian:bookworm AS build
WORKDIR /src
COPY . .
RUN scripts/setup --build && scripts/build-plugin /plugin

FROM scratch
COPY --from=build /plugin/rootfs/ /
ENTRYPOINT ["/usr/bin/overlayd"]
