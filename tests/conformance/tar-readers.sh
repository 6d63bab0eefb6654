#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Reads the same archives with overlayd's TarReader, Go's archive/tar, Python's tarfile, GNU tar and bsdtar:
# what overlayd accepts, all of them must list alike (type, name, size, link of every member), so that no layer
# shows one content to a scanner and another to a container. Where another reader is known to go its own way,
# tar-readers/compare.py says why.
#
#   tar-readers.sh [SEED [COUNT]]
#
# The archives: tests/data/tar, COUNT damaged copies of those, and COUNT made by tarcheck. SHOW=N shows so many
# disagreements. Needs go, python3, bsdtar, and a C++ compiler with libarchive's headers. The last line is
# "N passed, M failed".
set -eu

seed=${1:-1}
count=${2:-5000}
root=$(cd "$(dirname "$0")/../.." && pwd)
for command in go python3 bsdtar tar; do
  command -v "$command" >/dev/null || { echo "$command is not installed; run scripts/setup" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GOCACHE="${GOCACHE:-$root/build/go-cache}"

cd "$root"
readers=tests/conformance/tar-readers
core='core/error.cc core/stream.cc core/tar_field.cc core/tar_header.cc core/tar_reader.cc core/tar_writer.cc'
# shellcheck disable=SC2086  # a list of files
${CXX:-c++} -std=c++20 -O1 -I. -o "$work/ours" $readers/list.cc $core -larchive
# shellcheck disable=SC2086
${CXX:-c++} -std=c++20 -O1 -I. -o "$work/tarcheck" \
  tests/conformance/tarcheck/tarcheck.cc tests/support/tar_builder.cc $core -larchive
go build -o "$work/gos" $readers/list.go

python3 $readers/compare.py mutate "$seed" "$count" tests/data/tar >"$work/corpus"
"$work/tarcheck" read "$seed" "$work/made" /dev/null
python3 $readers/compare.py first "$count" <"$work/made" >>"$work/corpus"
"$work/ours" <"$work/corpus" >"$work/ours.list"
"$work/gos" <"$work/corpus" >"$work/gos.list"
python3 $readers/compare.py judge "$work/corpus" "$work/ours.list" "$work/gos.list"
