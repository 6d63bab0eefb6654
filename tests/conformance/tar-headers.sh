#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Compares TarWriter and TarReader with Go's archive/tar over some ten thousand cases: the same bytes
# must come out for the same entry, and an archive that TarReader accepts must read the same there.
# Needs go and a C++ compiler with libarchive's headers. A seed may be given; without one the cases are
# always the same. VERBOSE=1 lists why TarReader refuses what Go does not. Prints TAP.
set -eu

seed=${1:-1}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GOCACHE="${GOCACHE:-$root/build/go-cache}"

cd "$root"
${CXX:-c++} -std=c++20 -O1 -I. -o "$work/ours" \
  tests/conformance/tarcheck/tarcheck.cc tests/support/tar_builder.cc \
  core/error.cc core/stream.cc core/tar_field.cc core/tar_header.cc core/tar_reader.cc core/tar_writer.cc -larchive
go build -o "$work/theirs" tests/conformance/tarcheck/main.go

cd "$work"
./ours write "$seed" list ours.headers ours.refused
./theirs write list theirs.headers theirs.refused
cmp ours.refused theirs.refused
cmp ours.headers theirs.headers
echo "ok 1 - TarWriter writes what Go writes: $(wc -l <list) entries, $(wc -l <ours.refused) of them refused: $(wc -c <ours.headers) equal bytes"

./ours read "$seed" corpus seen
if ! ./theirs read corpus seen >counts; then
  kept=$(mktemp -d)
  cp differs-*.tar "$kept" && echo "kept in $kept" >&2
  exit 1
fi
echo "ok 2 - TarReader reads what Go reads: $(tail -n 1 counts)"
