#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All of the protocol, as tests/conformance/protocol.sh asks it.
HERE=$(dirname "${BASH_SOURCE[0]}")
set -- /run/protocol
source "$HERE/lib.sh"
export EXACT=1

mkdir -p "$HOME_DIR"
start
status=0
"$HERE/../../conformance/protocol/before-init.sh" "$SOCKET" "$HOME_DIR" || status=1
for script in "$HERE"/../../conformance/protocol/*.sh; do
  case $script in
    */lib.sh | */before-init.sh) ;;
    *)
      echo "# $(basename "$script" .sh)"
      "$script" "$SOCKET" "$HOME_DIR" || status=1
      ;;
  esac
done
end TERM
exit "$status"
