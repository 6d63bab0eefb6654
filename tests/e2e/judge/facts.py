#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Facts about tars, for facts.sh: reads one from stdin and prints lines "NAME<tab>KEY<tab>VALUE".

    facts.py SINCE tar NAME                  of each member, and of all bytes
    facts.py SINCE image NAME FIRST-LAYER    of what `docker save` wrote: the config, and the layers' tars

A time of SINCE or later, in seconds, was made by a clock and is called "now".

A tar is read as bytes and not with a library, which would hide how something is written. The keys of a
member are "PATH FIELD"; "header" is a digest of its headers, so that nothing in them can differ unseen.
What other facts have already, or the clock wrote, is blanked first: see `plain_header`.
"""

import datetime
import hashlib
import json
import posixpath
import sys

BLOCK = 512
NOW = "now"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def number(field):
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
    return int(field.rstrip(b" \0") or b"0", 8)


def text(raw):
    """Any bytes, as printable ASCII without spaces."""
    return "".join(chr(c) if 0x20 < c < 0x7F and c != 0x5C else f"\\x{c:02x}" for c in raw)


def padded(size):
    return -size % BLOCK + size


def pax_records(body):
    while body:
        length, _, _ = body.partition(b" ")
        record, body = body[:int(length)], body[int(length):]
        key, _, value = record[len(length) + 1:-1].partition(b"=")
        yield key.decode(), value


class Member:
    """The headers at an offset, extended ones included, and where its data is."""

    def __init__(self, tar, offset, since):
        self.pax = {}
        start = offset
        while chr(tar[offset + 156]) in "xg":
            size = number(tar[offset + 124:offset + 136])
            self.pax.update(pax_records(tar[offset + BLOCK:offset + BLOCK + size]))
            offset += BLOCK + padded(size)
        self.extended = tar[start:offset]
        self.block = block = tar[offset:offset + BLOCK]

        prefix = block[345:500].rstrip(b"\0")
        name = block[:100].split(b"\0")[0]
        self.path = self.pax.get("path", prefix + b"/" + name if prefix else name)
        self.type = chr(block[156])
        self.mode = number(block[100:108])
        self.link = self.pax.get("linkpath", block[157:257].split(b"\0")[0])
        self.time = self.pax.get("mtime", str(number(block[136:148])).encode()).decode()
        if float(self.time) >= since:
            self.time = NOW
        self.start = offset + BLOCK
        self.size = int(self.pax.get("size", number(block[124:136])))
        self.data = tar[self.start:self.start + self.size]
        self.end = self.start + padded(self.size)

    def number_or_pax(self, key, field):
        return int(self.pax.get(key, number(field)))

    def fields(self):
        block = self.block
        yield "type", self.type
        yield "mode", f"{self.mode:04o}"
        yield "uid", self.number_or_pax("uid", block[108:116])
        yield "gid", self.number_or_pax("gid", block[116:124])
        yield "user", text(block[265:297].rstrip(b"\0"))
        yield "group", text(block[297:329].rstrip(b"\0"))
        yield "size", self.size
        yield "mtime", self.time
        yield "link", text(self.link)
        yield "device", f"{number(block[329:337])}:{number(block[337:345])}"
        yield "content", digest(self.data)
        for key, value in self.pax.items():
            if key.startswith("SCHILY.xattr."):
                yield "xattr " + key[13:], value.hex()
        yield "header", digest(self.plain_header())

    def plain_header(self):
        """The headers as engines from 24.0 on write them, without the checksum and the clock's times."""
        block = bytearray(self.block)
        block[100:108] = b"%07o\0" % (self.mode & 0o7777)
        block[265:329] = bytes(64)
        block[148:156] = bytes(8)
        if self.time == NOW:
            block[136:148] = bytes(12)
        return self.extended + block


def members(tar, since):
    offset = 0
    while tar[offset:offset + BLOCK].strip(b"\0"):
        member = Member(tar, offset, since)
        yield member
        offset = member.end


def tar_facts(tar, since):
    plain = hashlib.sha256()
    end = 0
    by_clock = False
    order = hashlib.sha256()
    for member in members(tar, since):
        path = text(member.path)
        order.update(path.encode() + b"\n")
        for field, value in member.fields():
            yield f"{path} {field}", value
        plain.update(member.plain_header() + tar[member.start:member.end])
        by_clock = by_clock or member.time == NOW
        end = member.end
    yield "order", f"sha256:{order.hexdigest()}"
    yield "bytes but for the clock's", f"sha256:{plain.hexdigest()} and {len(tar) - end} zeros"
    assert not tar[end:].strip(b"\0")
    if not by_clock:
        yield "bytes", digest(tar)


# What is random or tells the time. The layers have facts of their own.
RANDOM = {
    "": ("created", "container", "parent", "rootfs"),
    "config": ("Hostname", "Image"),
    "container_config": ("Hostname", "Image"),
}


def config_facts(raw, since):
    config = json.loads(raw)
    if config["created"] < datetime.datetime.fromtimestamp(since, datetime.UTC).isoformat():
        yield "id", digest(raw)
    for part, keys in RANDOM.items():
        for key in keys:
            (config.get(part) or {} if part else config).pop(key, None)
    for step in config.get("history", []):
        step.pop("created", None)
    for key, value in sorted(config.items()):
        yield f"config {key}", json.dumps(value, sort_keys=True)


def image_facts(archive, since, name, first):
    files = {member.path.decode(): member for member in members(archive, since)}
    image, = json.loads(files["manifest.json"].data)
    raw = files[image["Config"]].data
    diff_ids = json.loads(raw)["rootfs"]["diff_ids"]
    for key, value in config_facts(raw, since):
        yield name, key, value
    yield name, "layers", len(diff_ids)
    for index, file in enumerate(image["Layers"][first - 1:], first):
        tar = layer_of(files, file).data
        where = f"{name}: layer {index}"
        yield where, "its bytes are those of its id", digest(tar) == diff_ids[index - 1]
        for key, value in tar_facts(tar, since):
            yield where, key, value


def layer_of(files, name):
    """An engine before 25.0 saves a layer that it has saved already as a link to it."""
    member = files[name]
    while member.type == "2":
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.link.decode()))
        member = files[name]
    return member


def main():
    since, what, name = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    tar = sys.stdin.buffer.read()
    if what == "tar":
        facts = ((name, key, value) for key, value in tar_facts(tar, since))
    else:
        facts = image_facts(tar, since, name, int(sys.argv[4]))
    for fact in facts:
        print(*fact, sep="\t")


if __name__ == "__main__":
    main()
