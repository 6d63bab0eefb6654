#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Thinks of archives, and judges what readers make of them; for tar-readers.sh.

    compare.py mutate SEED COUNT DIRECTORY    writes a corpus of the tars in DIRECTORY and of damaged copies
    compare.py first COUNT                    copies the first archives of a corpus
    compare.py judge CORPUS OURS GOS          compares the lists of list.cc and list.go with those of Python's
                                              tarfile, and of GNU tar and bsdtar for a part of the archives

A member is (type, name, size, link): type as in ustar with NUL and S for 0, name without trailing slashes,
size for regular files, link for links; the rest is b"" or 0. A list is None where a reader gives up.
"""

import collections
import concurrent.futures
import io
import itertools
import os
import random
import re
import struct
import subprocess
import sys
import tarfile
import tempfile

BLOCK = 512
SAMPLE = 4  # of so many archives GNU tar and bsdtar read one: each is a process

# --- the corpus ------------------------------------------------------------------------------------


def read_corpus(stream):
    while length := stream.read(4):
        yield stream.read(struct.unpack("<I", length)[0])


def write_corpus(stream, archive):
    stream.write(struct.pack("<I", len(archive)) + archive)


def seal(block):
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)


FIELDS = (0, 1, 99, 100, 108, 116, 124, 125, 134, 135, 136, 156, 156, 156, 157, 257, 262, 263, 329, 337, 345, 386, 482, 483)
BYTES = b"\0 0178-/\n=xgLKS1257\x80\xff"


def damage(archive, other, rng):
    """One change: of blocks, of a byte, or of a field with its checksum made good."""
    archive = bytearray(archive)
    block = rng.randrange(len(archive) // BLOCK + 1) * BLOCK
    what = rng.randrange(10)
    if what == 0:
        return archive[:rng.randrange(len(archive) + 1)]
    if what == 1:
        archive[block:block] = bytes(BLOCK)
    elif what == 2:
        del archive[block:block + BLOCK]
    elif what == 3:
        archive[block:block] = archive[block:block + BLOCK]
    elif what == 4:
        start = rng.randrange(len(other) // BLOCK + 1) * BLOCK
        archive[block:block] = other[start:start + BLOCK * rng.randrange(1, 5)]
    else:
        at = block + (rng.choice(FIELDS) if rng.random() < 0.6 else rng.randrange(BLOCK))
        if at < len(archive):
            archive[at] = rng.choice(BYTES) if rng.random() < 0.7 else rng.randrange(256)
        if rng.random() < 0.8 and block + BLOCK <= len(archive):
            header = archive[block:block + BLOCK]
            seal(header)
            archive[block:block + BLOCK] = header
    return archive


def mutate(seed, count, directory):
    rng = random.Random(seed)
    originals = []
    for name in sorted(os.listdir(directory)):
        if name.endswith(".tar"):
            with open(os.path.join(directory, name), "rb") as file:
                originals.append(file.read())
    for archive in originals:
        write_corpus(sys.stdout.buffer, archive)
    small = [archive for archive in originals if 0 < len(archive) <= 16384]
    for _ in range(count):
        archive = rng.choice(small)
        for _ in range(rng.choice((1, 1, 2, 3))):
            archive = damage(archive, rng.choice(small), rng)
        write_corpus(sys.stdout.buffer, bytes(archive))


# --- the readers -----------------------------------------------------------------------------------


def member(kind, name, size=0, link=b""):
    kind = {"\0": "0", "S": "0", "7": "0"}.get(kind, kind)
    name = re.sub(b"/+", b"/", name)
    return (kind, name.rstrip(b"/"), size if kind == "0" else 0, link if kind in "12" else b"")


def parse_list(line):
    """A line of list.cc or list.go."""
    if line.startswith("error: "):
        return None
    fields = [text.split(" ") for text in line.split(";")[:-1]]
    return [member(chr(int(kind)), bytes.fromhex(name), int(size), bytes.fromhex(link)) for kind, name, size, link in fields]


def python_list(archive):
    if not archive:  # no archive to tarfile.open()
        return []
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
            return [member(info.type.decode("latin-1"), info.name.encode("utf-8", "surrogateescape"), info.size,
                           info.linkname.encode("utf-8", "surrogateescape")) for info in tar]
    except (tarfile.TarError, ValueError, OverflowError, EOFError, UnicodeError, IndexError, KeyError):
        return None


C_ESCAPES = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13}


def unescape(text):
    return re.sub(rb"\\([0-7]{3}|.)", lambda m: bytes([int(m[1], 8) & 255 if len(m[1]) == 3 else
                                                       C_ESCAPES.get(m[1], m[1][0])]), text, flags=re.DOTALL)


KINDS = {b"-": "0", b"h": "1", b"l": "2", b"c": "3", b"b": "4", b"d": "5", b"p": "6"}
GNU_LINE = re.compile(rb'(.)\S{9}\s+\S+\s+(\S+)\s.*? "((?:[^"\\]|\\.)*)"(?: (?:->|link to) "((?:[^"\\]|\\.)*)")?$')


CRASHED = [b"crashed"]


# They complain, and end with an error, about times and letters too: what they list decides.
def run_reader(arguments, path):
    environment = dict(os.environ, LC_ALL="C", TZ="UTC")
    done = subprocess.run(arguments + [path], stdin=subprocess.DEVNULL, capture_output=True, env=environment,
                          timeout=60)
    return CRASHED if done.returncode < 0 else done.stdout.split(b"\n")[:-1]


def gnu_list(path):
    found = []
    for line in run_reader(["tar", "--absolute-names", "--numeric-owner", "--quoting-style=c", "-tvf"], path):
        match = GNU_LINE.match(line)
        if match is None:
            return [("?", line, 0, b"")]
        size = int(match[2]) if match[2].isdigit() else 0
        found.append(member(KINDS.get(match[1], match[1].decode("latin-1")), unescape(match[3]), size,
                            unescape(match[4] or b"")))
    return found


BSD_LINE = re.compile(rb"(.)\S{9,}\s+\d+\s.*?\s(\d+|\d+,\d+) +[A-Z][a-z]{2} +\d+ +(?:\d\d:\d\d|-?\d+) (.*)$", re.DOTALL)


def bsd_list(path):
    found = []
    for line in run_reader(["bsdtar", "-tvf"], path):
        match = BSD_LINE.match(line)
        if match is None:
            return [("?", line, 0, b"")]
        kind, name, link = KINDS.get(match[1], match[1].decode("latin-1")), match[3], b""
        if kind == "2":
            name, _, link = name.partition(b" -> ")
        elif b" link to " in name:
            kind, (name, link) = "1", name.split(b" link to ", 1)
        size = int(match[2]) if match[2].isdigit() else 0
        found.append(member(kind, unescape(name), size, unescape(link)))
    return found


# --- the judgement ---------------------------------------------------------------------------------


def known_reason(reader, archive, ours, theirs):
    """Why another reader may see something else in an archive that we accept; None: it may not."""
    headers = list(find_headers(archive))
    if reader in ("GNU tar", "bsdtar") and any(
            type in b"\x00123456" and (size > 0 or b" size=" in archive) for type, size in headers):
        return "skips data that a link, directory or device claims; engines say it has none"
    if reader == "Python" and theirs is None and any(type == b"g" for type, _ in headers):
        return "a global header with no member behind it is an error, not the end"
    if reader == "Python" and b"ustar  \0" in archive and any(
            archive[at + 257:at + 265] == b"ustar  \0" and archive[at + 345] for at in range(0, len(archive) - 511, 512)):
        return "takes the access time of a GNU header for a prefix"
    if reader == "bsdtar":
        if theirs == [("?", CRASHED[0], 0, b"")]:
            return "crashes, for example at a time that no calendar has"
        if any(len(name) + len(link) > 2000 for _, name, _, link in ours):
            return "does not print names of thousands of bytes"
        if not ours:
            return "looks for other formats behind the zeros of an empty tar"
        if not theirs:
            return "takes the first bytes for a compressed stream's"
    return None


def find_headers(archive):
    """Type and size of every block that has a header's checksum."""
    for at in range(0, len(archive) - BLOCK + 1, BLOCK):
        block = archive[at:at + BLOCK]
        stated = int(re.match(b"[ \0]*([0-7]*)", block[148:156])[1] or b"0", 8)
        unsigned = sum(block) - sum(block[148:156]) + 8 * 32
        signed = unsigned - 256 * sum(byte > 127 for byte in block[:148] + block[156:])
        if stated in (unsigned, signed):
            yield block[156:157], int(re.match(b" *([0-7]*)", block[124:136])[1] or b"0", 8)


class Judge:
    def __init__(self):
        self.agreed = collections.Counter()
        self.excused = collections.Counter()
        self.failures = []

    def compare(self, number, reader, archive, ours, theirs):
        if ours == theirs:
            self.agreed[reader] += 1
            return
        reason = known_reason(reader, archive, ours, theirs)
        if reason is not None:
            self.excused[reader + ": " + reason] += 1
        else:
            self.failures.append((number, reader, archive, ours, theirs))


def judge(corpus, ours_path, gos_path):
    archives = list(read_corpus(corpus))
    with open(ours_path, errors="replace") as ours_file, open(gos_path, errors="replace") as gos_file:
        ours_lines, gos_lines = ours_file.read().split("\n")[:-1], gos_file.read().split("\n")[:-1]
    assert len(archives) == len(ours_lines) == len(gos_lines), (len(archives), len(ours_lines), len(gos_lines))
    verdict, refused = Judge(), 0
    sample = []
    for number, archive in enumerate(archives):
        ours = parse_list(ours_lines[number])
        if ours is None:
            refused += 1
            continue
        verdict.compare(number, "Go", archive, ours, parse_list(gos_lines[number]))
        verdict.compare(number, "Python", archive, ours, python_list(archive))
        if len(sample) * SAMPLE <= number:
            sample.append((number, archive, ours))
    with tempfile.TemporaryDirectory() as directory, concurrent.futures.ThreadPoolExecutor(2) as pool:
        def look(case):
            number, archive, ours = case
            path = os.path.join(directory, "%d.tar" % number)
            with open(path, "wb") as file:
                file.write(archive)
            return number, archive, ours, gnu_list(path), bsd_list(path)
        for number, archive, ours, gnu, bsd in pool.map(look, sample):
            verdict.compare(number, "GNU tar", archive, ours, gnu)
            verdict.compare(number, "bsdtar", archive, ours, bsd)
    return report(verdict, len(archives), refused)


def first_difference(ours, reader, theirs):
    if theirs is None:
        return "-", "%d members" % len(ours), reader, "gives up"
    at = next((n for n, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]), min(len(ours), len(theirs)))

    def shown(members):
        if at >= len(members):
            return "end"
        kind, name, size, link = members[at]
        return "%s %s %d -> %s" % (kind, short(name), size, short(link))
    return at, shown(ours), reader, shown(theirs)


def short(text):
    return repr(text[:40])[1:] + ("... (%d)" % len(text) if len(text) > 40 else "")


def report(verdict, archives, refused):
    accepted = archives - refused
    print("%d archives: %d refused by overlayd, %d read by it" % (archives, refused, accepted))
    for reader, count in sorted(verdict.agreed.items()):
        print("%7d read alike by %s" % (count, reader))
    for reason, count in sorted(verdict.excused.items()):
        print("%7d otherwise by %s" % (count, reason))
    kept = tempfile.mkdtemp(prefix="tar-readers-") if verdict.failures else ""
    for number, reader, archive, ours, theirs in verdict.failures[:int(os.environ.get("SHOW", "5"))]:
        path = os.path.join(kept, "%d.tar" % number)
        with open(path, "wb") as file:
            file.write(archive)
        print("%s, member %s\n  overlayd: %s\n  %s: %s" % ((path,) + first_difference(ours, reader, theirs)))
    enough = accepted >= archives // 10 and archives > 0
    if not enough:
        print("too few archives are read by overlayd to say anything")
    passed = sum(verdict.agreed.values()) + sum(verdict.excused.values())
    failed = len(verdict.failures) + (not enough)
    print("%d passed, %d failed" % (passed, failed))
    return 0 if failed == 0 else 1


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "mutate":
        mutate(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
        return 0
    if len(sys.argv) == 3 and sys.argv[1] == "first":
        for archive in itertools.islice(read_corpus(sys.stdin.buffer), int(sys.argv[2])):
            write_corpus(sys.stdout.buffer, archive)
        return 0
    if len(sys.argv) == 5 and sys.argv[1] == "judge":
        with open(sys.argv[2], "rb") as corpus:
            return judge(corpus, sys.argv[3], sys.argv[4])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
