#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints what bash offers on a command line.
#
#   tests/docs/complete.sh WORD...    what stands behind "overlayd"; the last is what is completed, and may be empty
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../../packaging/completion.sh"

compopt() { :; } # there is no command line to have options
COMP_WORDS=(overlayd "$@")
COMP_CWORD=$#
_overlayd
echo "${COMPREPLY[*]}"
