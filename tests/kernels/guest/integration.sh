#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The integration tests, with few random histories: the machine is slow. Arguments are suites.
set -euo pipefail

# What these make file systems with is not here, or they look beside themselves.
EXCEPT="commit,hostile tars"
# It has layers on a mount that is attached nowhere, and these kernels do not take that.
NOT_CASE="on a full disk the same method is found without a byte written"
# They work on a tmpfs, which has attributes user.* since 6.6.
if [[ $(uname -r) == 6.1.* ]]; then
  EXCEPT+=",content check,layer_apply,layer_directories,layer_history"
  NOT_CASE+=",marks of a user namespace are found"
fi

suites=$(IFS=,; printf '%s' "$*")
status=0
TEST_REQUIRE=root,overlayfs OVERLAYD_HISTORIES=10 integration_tests --require=root,overlayfs --no-version \
  --no-colors --test-suite="${suites:-*}" --test-suite-exclude="$EXCEPT" \
  --test-case-exclude="$NOT_CASE" >/tmp/integration 2>&1 || status=$?
grep -aE '^\[doctest\]' /tmp/integration | tail -n 3 | sed 's/^/# /'
if ((status == 0)); then
  echo "ok 1 - integration tests"
else
  # What died before it could report has said its last word at the end.
  { grep -a -B 3 -A 4 'ERROR: ' /tmp/integration || tail -n 20 /tmp/integration; } | sed 's/^/# /'
  echo "# ended with status $status"
  echo "not ok 1 - integration tests"
fi
echo "1..1"
exit $((status != 0))
