# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What Docker says about images and containers, written down for judge.sh to compare between drivers. Without
# FACTS, the file to write to, nothing here does anything. Sourced by lib.sh.
#
# A fact is a line "NAME<tab>KEY<tab>VALUE", NAME and KEY together say what it is about. What a clock or
# chance decides is left out or called by a word: a time since the scenario began is "now".

FACTS=${FACTS:-}
FACTS_SINCE=$(date +%s)

# One VALUE, or on stdin facts without their name: KEY<tab>VALUE a line.
record() { # NAME [VALUE]
  if [[ -z $FACTS ]]; then
    (($# > 1)) || cat >/dev/null
  elif (($# > 1)); then
    printf '%s\t\t%s\n' "$1" "$2" >>"$FACTS"
  else
    NAME=$1 awk '{ print ENVIRON["NAME"] "\t" $0 }' >>"$FACTS"
  fi
}

# The sizes and the config, and from FIRST-LAYER on every member of each layer's tar.
record_image() { # NAME IMAGE [FIRST-LAYER]
  [[ -n $FACTS ]] || return 0
  docker image inspect "$2" --format $'size\t{{.Size}}' | record "image $1"
  docker history --human=false --format '{{.Size}}' "$2" |
    awk '{ print "size of step -" NR "\t" $0 }' | record "image $1"
  docker save "$2" | facts image "image $1" "${3:-1}" >>"$FACTS"
}

# Changes, sizes, and every member of its export, except where an engine never lets go of what it exported.
record_container() { # NAME CONTAINER
  [[ -n $FACTS ]] || return 0
  docker diff "$2" | change_facts | record "container $1: changes"
  docker inspect --size "$2" --format $'size\t{{.SizeRw}}\nsize with image\t{{.SizeRootFs}}' | record "container $1"
  docker ps --all --size --filter "name=^/$2\$" --format $'size in list\t{{.Size}}' | record "container $1"
  [[ ${ENGINE:-20.10} != 20.10 ]] || docker export "$2" | facts tar "container $1: export" >>"$FACTS"
}

# The lines of `docker diff`, turned round. A name may have line ends in it.
change_facts() {
  awk '/^[ACD] \// { if (NR > 1) print path "\t" kind; kind = $1; path = substr($0, 3); next }
    { path = path "\\n" $0 }
    END { if (NR > 0) print path "\t" kind }'
}

# Every member of the tar on stdin, and of its bytes what no member has.
record_tar() { # NAME
  if [[ -n $FACTS ]]; then
    facts tar "$1" >>"$FACTS"
  else
    cat >/dev/null
  fi
}

facts() { python3 "$HERE/judge/facts.py" "$FACTS_SINCE" "$@"; }
