#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the facts of one scenario on Docker's own driver and on overlayd, for judge.sh.

    compare.py SCENARIO ENGINE DOCKERS OURS    ENGINE is a version, the others are files of facts.sh

Prints TAP, a case for each name in the facts, and fails for every difference that no rule explains. The rules
are here and nowhere else; docs/conformance.md has them in words.
"""

import collections
import dataclasses
import posixpath
import sys

RULES = []  # (name, function)
SHOWN = 20  # unexplained differences of one name


@dataclasses.dataclass
class Difference:
    engine: tuple  # (20, 10)
    name: str
    key: str
    docker: str | None  # the value, None where there is no such fact
    ours: str | None
    facts: dict  # overlayd's
    rule: str | None = None

    @property
    def both(self):
        return self.docker is not None and self.ours is not None

    @property
    def path(self):  # of a tar's member
        return self.key.partition(" ")[0]

    @property
    def field(self):
        return self.key.partition(" ")[2]

    @property
    def whiteout(self):
        base = posixpath.basename(self.path)
        return base.startswith(".wh.") and base != ".wh..wh..opq"


def rule(name):
    def add(function):
        RULES.append((name, function))
        return function
    return add


@rule("engines before 24.0 write a file's type into its mode")
def type_in_mode(d):
    return d.engine < (24, 0) and d.field == "mode" and d.both and int(d.docker, 8) & 0o7777 == int(d.ours, 8)


@rule("engines before 23.0 write names of users, which they look up on the host")
def user_names(d):
    return d.engine < (23, 0) and d.field in ("user", "group") and d.both and d.ours == ""


@rule("hard links to devices have no device number")
def linked_devices(d):
    return d.field == "device" and d.both and d.ours == "0:0" and d.facts[d.name, d.path + " type"] == "1"


@rule("block devices are not directories: their times count")
def block_devices(d):
    if not d.name.endswith(": changes") or (d.docker, d.ours) != (None, "C"):
        return False
    return any(key == d.key[1:] + " type" and value == "4" for (_, key), value in d.facts.items())


@rule("user xattrs and ACLs are kept")
def attributes(d):
    return d.docker is None and d.field.startswith(("xattr user.", "xattr system.posix_acl_"))


@rule("whiteouts have no link name")
def whiteout_links(d):
    return d.whiteout and d.field == "link" and d.both and d.ours == ""


def load(file):
    facts = {}
    for line in open(file, encoding="utf-8", errors="surrogateescape"):
        name, key, value = line.rstrip("\n").split("\t", 2)
        assert (name, key) not in facts, f"two facts are called {name}, {key}"
        facts[name, key] = value
    return facts


def find_differences(engine, docker, ours):
    for name, key in {**docker, **ours}:
        values = docker.get((name, key)), ours.get((name, key))
        if values[0] != values[1]:
            yield Difference(engine, name, key, *values, ours)


def explain(differences):
    for d in differences:
        d.rule = next((name for name, explains in RULES if explains(d)), None)
    explain_digests(differences)


# What is masked in a header's digest differs for another reason.
MASKED = {"mode", "user", "group"}


def explain_digests(differences):
    """A digest differs with what it is made of: headers with fields, all bytes with headers, or with what is
    masked in those. Nothing else differs in the bytes, as each header and each content has its own digest."""
    members = {(d.name, d.path) for d in differences if d.rule and d.field not in MASKED}
    for d in differences:
        if d.field == "header" and (d.name, d.path) in members:
            d.rule = "a digest of what differs"
    plain = {d.name for d in differences if d.rule and d.field == "header"}
    whole = plain | {d.name for d in differences if d.rule and d.field in MASKED}
    for d in differences:
        if d.key == "bytes but for the clock's" and d.name in plain or d.key == "bytes" and d.name in whole:
            d.rule = "a digest of what differs"


def report(scenario, facts, differences):
    print(f"# {scenario}: {len(facts)} facts")
    names = collections.Counter(name for name, _ in facts)
    failed = 0
    for name, count in names.items():
        open_ones = [d for d in differences if d.name == name and not d.rule]
        print(f"{'not ok' if open_ones else 'ok'} - {scenario}: {name} ({count} facts)")
        for d in open_ones[:SHOWN]:
            print(f"#   {d.key}\n#     Docker's driver: {d.docker}\n#     overlayd:        {d.ours}")
        if len(open_ones) > SHOWN:
            print(f"#   and {len(open_ones) - SHOWN} more")
        failed += bool(open_ones)
    for name, count in sorted(collections.Counter(d.rule for d in differences if d.rule).items()):
        print(f"# explained {count} times: {name}")
    if not facts:
        failed = 1
        print(f"not ok - {scenario}: there are facts")
    return failed


def main():
    scenario, engine = sys.argv[1], tuple(map(int, sys.argv[2].split(".")[:2]))
    docker, ours = load(sys.argv[3]), load(sys.argv[4])
    differences = list(find_differences(engine, docker, ours))
    explain(differences)
    return 1 if report(scenario, {**docker, **ours}, differences) else 0


if __name__ == "__main__":
    sys.exit(main())
