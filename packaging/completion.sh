# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What bash offers behind "overlayd".

_overlayd() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} offered=""
  case $before in
    overlayd) offered='serve check ls tree show du status adopt release --help --version' ;;
    --log-level) offered='debug info warning error off' ;;
    --log-format) offered='text json' ;;
    --metrics)
      offered='unix: 127.0.0.1: [::1]:'
      compopt -o nospace
      ;;
    --mount-api) offered='auto layer-fds layer-names classic' ;;
    --durability) offered='strict syncfs none' ;;
    --driver) ;;
    --socket) compopt -o default ;;
    --state-dir | --layerdb) compopt -o dirnames ;;
    *)
      case ${COMP_WORDS[1]} in
        serve) offered='--help --socket --state-dir --log-level --log-format --mount-api --durability --metrics' ;;
        check)
          offered='--help --repair --content --layerdb --json'
          [[ $word == -* ]] || compopt -o dirnames
          ;;
        ls | tree | show | du | status)
          offered='--help --json'
          [[ ${COMP_WORDS[1]} == status ]] || offered+=' --full --layerdb'
          [[ ${COMP_WORDS[1]} == @(du|status) ]] || offered+=' --size --state-dir'
          [[ ${COMP_WORDS[1]} != ls ]] || offered+=' --mounted --unfinished --orphans'
          [[ $word == -* ]] || compopt -o dirnames
          ;;
        adopt | release)
          offered='--help --dry-run --driver'
          [[ $word == -* ]] || compopt -o dirnames
          ;;
      esac
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$word")
}

complete -F _overlayd overlayd
