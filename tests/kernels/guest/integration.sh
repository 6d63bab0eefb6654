#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The integration tests, with few random histories: the machine is slow. $1 is a pattern of doctest's, of suites.
set -euo pipefail
status=0
TEST_REQUIRE=root,overlayfs OVERLAYD_HISTORIES=10 integration_tests --require=root,overlayfs --no-version \
  --no-colors --test-suite="${1:-*}" >/tmp/integration 2>&1 || status=$?
grep -E '^\[doctest\]' /tmp/integration | tail -n 3 | sed 's/^/# /'
if ((status == 0)); then
  echo "ok 1 - integration tests"
else
  # The name of each case that failed, and what is wrong.
  grep -aE '^TEST CASE:|ERROR|exception|values:|^  [^ ]' /tmp/integration | sed 's/^/# /' || true
  echo "not ok 1 - integration tests"
fi
echo "1..1"
exit $((status != 0))
