#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tars in this directory and the README.md that says what each of them tries.

    make.py            writes them all
    make.py --check    fails where a file is not what would be written

The same bytes every time, by every Python 3; nothing but the standard library. It encodes by itself:
tarfile would refuse most of this. What overlayd must say to each file is in expected.txt.
"""

import base64
import bz2
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BLOCK = 512
# Where the tests have what must not be touched: beside the home, from the root of a layer being filled,
# and at an absolute path.
OUT = b"../../../canary"
ABSOLUTE = b"/mnt/canary"

# --- encoding --------------------------------------------------------------------------------------


def pad(data):
    return data + b"\0" * (-len(data) % BLOCK)


def seal(block, signed=False):
    block = bytearray(block)
    block[148:156] = b" " * 8
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def header(name, type=b"0", size=0, mode=0o644, uid=0, gid=0, mtime=0, link=b"", prefix=b"",
           major=0, minor=0, magic=b"ustar\x0000", patch=(), signed=False):
    """One block. `patch` is (offset, bytes) pairs that overwrite what the fields say."""
    block = bytearray(BLOCK)

    def put(offset, data):
        block[offset:offset + len(data)] = data

    put(0, name)
    put(100, b"%07o\0%07o\0%07o\0" % (mode, uid, gid))
    put(124, b"%011o\0%011o\0" % (size, mtime))
    put(156, type)
    put(157, link)
    put(257, magic)
    if magic.strip(b"\0"):
        put(329, b"%07o\0%07o\0" % (major, minor))
    put(345, prefix)
    for offset, data in patch:
        put(offset, data)
    assert len(block) == BLOCK
    return seal(block, signed)


GNU = b"ustar  \0"


def file(name, data=b"x", **fields):
    fields.setdefault("size", len(data))
    return header(name, **fields) + pad(data)


def directory(name, mode=0o755, **fields):
    return header(name, b"5", mode=mode, **fields)


def symlink(name, target, **fields):
    return header(name, b"2", link=target, mode=0o777, **fields)


def hard_link(name, target, **fields):
    return header(name, b"1", link=target, **fields)


def device(name, major, minor, type=b"3", **fields):
    return header(name, type, major=major, minor=minor, mode=0o600, **fields)


def record(key, value):
    rest = len(key) + len(value) + 3
    length = rest + 1
    while len(str(length)) + rest != length:
        length = len(str(length)) + rest
    return b"%d %s=%s\n" % (length, key, value)


def extension(type, body, size=None, **fields):
    return header(b"pax" if type in b"xg" else b"././@LongLink", type,
                  size=len(body) if size is None else size, **fields) + pad(body)


def pax(*records, type=b"x", **fields):
    return extension(type, b"".join(record(key, value) for key, value in records), **fields)


def long_name(name, **fields):
    return extension(b"L", name + b"\0", magic=GNU, **fields)


def long_link(name, **fields):
    return extension(b"K", name + b"\0", magic=GNU, **fields)


def base256(value, width):
    number = value & ((1 << (8 * width)) - 1)
    data = bytearray(number.to_bytes(width, "big"))
    data[0] |= 0x80
    return bytes(data)


def pair(offset, size):
    return b"%011o\0%011o\0" % (offset, size)


def sparse_gnu(name, real, runs, data, extended=0, patch=(), more=b""):
    pairs = b"".join(pair(*run) for run in runs)
    return header(name, b"S", size=len(data), magic=GNU,
                  patch=((386, pairs), (482, bytes([extended])), (483, b"%011o\0" % real), *patch)
                  ) + more + pad(data)


def sparse_1_0(name, real, text, data, *records):
    body = pad(text) + data
    return pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
               (b"GNU.sparse.name", name), (b"GNU.sparse.realsize", b"%d" % real), *records
               ) + file(b"GNUSparseFile.0/" + name, body)


END = b"\0" * 2 * BLOCK

# --- the collection --------------------------------------------------------------------------------

GROUPS = []


def group(title, text=""):
    GROUPS.append((title, text, []))


def add(name, text, *parts, end=END):
    files = GROUPS[-1][2]
    assert name not in (known for _, _, some in GROUPS for known, _, _ in some), name
    files.append((name, text, b"".join(parts) + end))


def reject(sin, text, *parts, end=END):
    add("reject-" + sin + ".tar", text, *parts, end=end)


def accept(what, text, *parts, end=END):
    add("accept-" + what + ".tar", text, *parts, end=end)


def names():
    group("Names")
    reject("dotdot", "A file called `../../../canary/file`: beside the home.", file(OUT + b"/file"))
    reject("dotdot-inside", "A name that goes down one directory and up two.",
           directory(b"a/"), file(b"a/../../canary/file"))
    reject("dotdot-behind-slash", "`/../canary/file`: absolute, then up.", file(b"/../canary/file"))
    reject("dotdot-alone", "A directory called `..`, mode 0777.", directory(b"..", 0o777))
    reject("dotdot-at-the-end", "A directory called `a/b/../../..`.", directory(b"a/b/../../.."))
    reject("dotdot-in-prefix", "The ustar prefix field holds the `..`.",
           file(b"canary/file", prefix=b"../../.."))
    reject("dotdot-in-pax-path", "A harmless ustar name and a PAX path that climbs out.",
           pax((b"path", OUT + b"/file")), file(b"harmless"))
    reject("dotdot-in-gnu-name", "A harmless ustar name and a GNU long name that climbs out.",
           long_name(OUT + b"/file"), file(b"harmless", magic=GNU))
    accept("absolute-names", "Leading slashes, one and many, are dropped: the files land inside.",
           file(ABSOLUTE + b"/file", b"inside"), file(b"////etc//passwd", b"inside too"))
    accept("dotdot-that-stays-inside", "`a/b/../f` is `a/f`; `b` need not be there.",
           file(b"a/b/../f", b"detour"))
    accept("backslashes", "Backslashes and drive letters are letters.",
           file(b"..\\..\\canary\\file"), file(b"C:\\f"))
    accept("control-characters", "New line, escape and delete in a name.", file(b"a\nb\x1b[31m\x7f"))
    accept("bytes-that-are-no-utf-8", "Lone continuation bytes, overlong slashes, surrogates.",
           file(b"\x80\xff"), file(b"..\xc0\xaf..\xc0\xafcanary"), file(b"\xed\xa0\x80"))
    accept("case-pairs", "Names that differ in case only stay apart.",
           file(b"README", b"1"), file(b"readme", b"2"), directory(b"D/"), symlink(b"d", b"D"))
    accept("unicode-pairs", "The same letter composed and decomposed stays two names.",
           file(b"caf\xc3\xa9", b"composed"), file(b"cafe\xcc\x81", b"decomposed"))
    reject("name-empty", "No name at all.", file(b""))
    reject("name-empty-in-gnu-header", "A GNU long name of no bytes.",
           long_name(b""), file(b"", magic=GNU))
    reject("only-slashes-as-a-file", "A file called `///`.", file(b"///"))
    accept("only-slashes-as-a-directory", "A directory called `///` is the root.",
           directory(b"///", 0o711), file(b"f"))
    reject("file-with-trailing-slash", "A regular file called `f/`: some readers make a directory.",
           file(b"f/"))
    accept("names-ending-in-dot", "`d/.` and `f/.` are `d` and `f`.",
           directory(b"d/.", 0o700), file(b"f/."), file(b"d/./././g/."))
    accept("names-ending-in-dotdot", "`d/x/..` is `d`.", directory(b"d/x/..", 0o700))
    accept("root-member", "`./`, with attributes for the root.", directory(b"./", 0o711, uid=3),
           file(b"./f"))
    reject("root-as-a-file", "A file called `.`.", file(b"."))
    reject("root-as-a-symlink", "A symlink called `./` to the canary.", symlink(b"./", OUT), file(b"f"))
    reject("root-as-a-hard-link", "A hard link called `.`.", file(b"f"), hard_link(b".", b"f"))
    reject("root-as-a-device", "A device called `/`.", device(b"/", 1, 3))
    reject("root-as-a-fifo-by-detour", "A fifo called `a/..`.", header(b"a/..", b"6"))
    reject("pax-path-with-nul", "A PAX path with a NUL: readers in C see a shorter name.",
           pax((b"path", b"good\0/../../canary")), file(b"f"))
    reject("pax-linkpath-with-nul", "The same in a link's target.",
           file(b"f"), pax((b"linkpath", b"f\0x")), hard_link(b"h", b"f"))
    reject("gnu-name-with-nul", "The same in a GNU long name.",
           extension(b"L", b"good\0bad\0", magic=GNU), file(b"f", magic=GNU))
    accept("component-255", "The longest component that Linux has.", pax((b"path", b"n" * 255)), file(b"n"))
    reject("component-256", "One byte more.", pax((b"path", b"n" * 256)), file(b"n"))
    reject("component-256-as-parent", "The same as a directory on the way.",
           pax((b"path", b"n" * 256 + b"/f")), file(b"n"))
    reject("path-4097", "A name longer than PATH_MAX in PAX.",
           pax((b"path", (b"d" * 99 + b"/") * 40 + b"f" * 97)), file(b"f"))
    reject("path-4097-in-gnu-header", "The same as a GNU long name.",
           long_name((b"d" * 99 + b"/") * 40 + b"f" * 97), file(b"f", magic=GNU))
    reject("path-4096", "One that is PATH_MAX with its closing NUL left out.",
           pax((b"path", (b"d" * 99 + b"/") * 41)), directory(b"d"))
    accept("depth-2047", "2047 directories in each other, made by one member.",
           pax((b"path", b"d/" * 2047 + b"f")), file(b"f", b"deep"))
    reject("depth-4000", "Twice that: the way down goes through a symlink to where the first way ended.",
           *deep(2))


def deep(stages):
    """Each stage goes on where a symlink to the end of the stage before leads."""
    way = b"d/" * 1990
    yield pax((b"path", way)) + directory(b"d")
    yield pax((b"linkpath", way)) + symlink(b"s1", b"")
    for n in range(1, stages):
        yield pax((b"path", b"s%d/" % n + way)) + directory(b"d")
        yield pax((b"linkpath", b"s%d/" % n + way)) + symlink(b"s%d" % (n + 1), b"")
    yield file(b"s%d/f" % stages, b"deep")


def symlinks():
    group("Symlinks", "A parent directory is looked up as in a chroot: no symlink leads out, but a way "
          "through one that leads nowhere in the layer is refused.")
    reject("symlink-relative", "`s -> ../../../canary`, then a file `s/file`.",
           symlink(b"s", OUT), file(b"s/file"))
    reject("symlink-absolute", "`s -> /mnt/canary`, then a file `s/file`.",
           symlink(b"s", ABSOLUTE), file(b"s/file"))
    accept("symlink-absolute-that-exists-inside",
           "The same with a directory `mnt/canary` in the layer: the file goes there.",
           directory(b"mnt/canary/"), symlink(b"s", ABSOLUTE), file(b"s/file", b"inside"))
    accept("symlink-out-of-the-root-that-exists-inside",
           "`s -> ../../../canary` with a directory `canary` in the layer: `..` of the root is the root.",
           directory(b"canary/"), symlink(b"s", OUT), file(b"s/file", b"inside"))
    reject("symlink-chained", "`a -> b`, `b -> c`, `c -> ../../../canary`.",
           symlink(b"a", b"b"), symlink(b"b", b"c"), symlink(b"c", OUT), file(b"a/file"))
    reject("symlink-step-by-step", "`a -> ..`, then `a/b -> ..` through it, then `a/b/c -> ..`.",
           directory(b"d/"), symlink(b"d/a", b".."), symlink(b"d/a/b", b".."),
           symlink(b"d/a/b/c", b"../canary"), file(b"d/a/b/c/file"))
    reject("symlink-loop", "`a -> b`, `b -> a`, then a file `a/f`.",
           symlink(b"a", b"b"), symlink(b"b", b"a"), file(b"a/f"))
    reject("symlink-to-itself", "`a -> a`, then a file `a/f`.", symlink(b"a", b"a"), file(b"a/f"))
    reject("symlink-to-proc-self-root", "`p -> /proc/self/root`, a magic link outside.",
           symlink(b"p", b"/proc/self/root"), file(b"p/mnt/canary/file"))
    reject("symlink-to-proc-self-fd", "`p -> /proc/self/fd/3/..`.",
           symlink(b"p", b"/proc/self/fd/3/.."), file(b"p/file"))
    reject("symlink-replaced-mid-stream",
           "`s` leads to a directory inside, is used, and then to the canary.",
           directory(b"d/"), symlink(b"s", b"d"), file(b"s/f"), symlink(b"s", OUT), file(b"s/file"))
    reject("directory-replaced-by-a-symlink", "A directory in use becomes a symlink to the canary.",
           directory(b"d/"), file(b"d/f"), symlink(b"d", OUT), file(b"d/file"))
    reject("implied-directory-replaced-by-a-symlink", "The same with a directory that has no member.",
           file(b"a/d/f"), symlink(b"a/d", b"../" + OUT), file(b"a/d/file"))
    reject("directory-replaced-through-itself",
           "`d/up -> ..`, and `d` replaced by a symlink by the name `d/up/d`, while `d/up` is in use.",
           directory(b"d/"), symlink(b"d/up", b".."), file(b"d/up/f"), symlink(b"d/up/d", OUT),
           file(b"d/up/file"))
    accept("symlink-replaced-through-itself",
           "`s -> .`, used, replaced by the name `s/s`, and used again: the new one counts.",
           directory(b"d/"), symlink(b"s", b"."), file(b"s/f", b"1"), symlink(b"s/s", b"d"),
           file(b"s/g", b"2"))
    accept("file-over-a-symlink-out", "`s -> ../../../canary/file`, then a file `s`: replaced, not followed.",
           symlink(b"s", OUT + b"/file"), file(b"s", b"own"))
    accept("directory-over-a-symlink-out", "`s -> /mnt/canary`, then a directory `s`, then `s/file`.",
           symlink(b"s", ABSOLUTE), directory(b"s/", 0o700), file(b"s/file", b"own"))
    accept("directory-over-a-symlink-inside", "The directory replaces the link and leaves its target alone.",
           directory(b"d/", 0o711), file(b"d/f"), symlink(b"s", b"d"), directory(b"s/", 0o700))
    accept("device-over-a-symlink-out", "`s -> /mnt/canary/file`, then a device `s`.",
           symlink(b"s", ABSOLUTE + b"/file"), device(b"s", 1, 3))
    accept("dangling-symlinks", "Symlinks that lead out but are not used are content.",
           symlink(b"a", OUT), symlink(b"b", ABSOLUTE), symlink(b"c", b"/proc/self/exe"),
           symlink(b"d", b"../" * 30 + b"etc/shadow"))
    accept("whiteout-and-opaque-through-a-symlink", "`s -> d`, then whiteouts under `s/`.",
           directory(b"d/"), symlink(b"s", b"d"), file(b"s/.wh.gone", b""))
    reject("whiteout-through-a-symlink-out", "`s -> ../../../canary`, then `s/.wh.file`.",
           symlink(b"s", OUT), file(b"s/.wh.file", b""))
    reject("opaque-through-a-symlink-out", "`s -> ../../../canary`, then `s/.wh..wh..opq`.",
           symlink(b"s", OUT), file(b"s/.wh..wh..opq", b""))
    reject("symlink-without-target", "A symlink to nothing.", symlink(b"s", b""))
    reject("symlink-target-4097", "A target longer than PATH_MAX.",
           pax((b"linkpath", b"t" * 4097)), symlink(b"s", b"t"))


def hard_links():
    group("Hard links", "A hard link's target is an earlier member of the same tar.")
    reject("hard-link-dotdot", "`h` to `../../../canary/file`.", hard_link(b"h", OUT + b"/file"))
    reject("hard-link-absolute", "`h` to `/mnt/canary/file`.", hard_link(b"h", ABSOLUTE + b"/file"))
    reject("hard-link-in-pax-linkpath", "A harmless link field and a PAX linkpath that climbs out.",
           file(b"f"), pax((b"linkpath", OUT + b"/file")), hard_link(b"h", b"f"))
    reject("hard-link-missing", "The target comes later.", hard_link(b"h", b"f"), file(b"f"))
    reject("hard-link-to-itself", "`h` to `h`, which does not exist.", hard_link(b"h", b"h"))
    reject("hard-link-to-a-directory", "`h` to `d/`.", directory(b"d/"), hard_link(b"h", b"d"))
    reject("hard-link-to-the-root", "`h` to `.`.", hard_link(b"h", b"."))
    reject("hard-link-through-a-symlink-out", "`s -> ../../../canary`, `h` to `s/file`.",
           symlink(b"s", OUT), hard_link(b"h", b"s/file"))
    reject("hard-link-through-an-absolute-symlink", "`s -> /mnt/canary`, `h` to `s/file`.",
           symlink(b"s", ABSOLUTE), hard_link(b"h", b"s/file"))
    reject("hard-link-to-a-file-below", "The target is a file of the layer below, `below/file`.",
           hard_link(b"h", b"below/file"))
    reject("hard-link-to-a-whiteout", "The target was deleted by the same tar.",
           file(b".wh.w", b""), hard_link(b"h", b"w"))
    reject("hard-link-without-target", "No target.", hard_link(b"h", b""))
    accept("hard-link-to-a-symlink", "The link itself gets a second name; nobody follows it.",
           symlink(b"s", ABSOLUTE + b"/file"), hard_link(b"h", b"s"), header(b"h2", b"1", link=b"h", mode=0o6777))
    accept("hard-link-through-a-symlink-inside", "`s -> d`, `h` to `s/f`.",
           directory(b"d/"), file(b"d/f", b"1"), symlink(b"s", b"d"), hard_link(b"h", b"s/f"))
    accept("hard-link-with-other-metadata", "Mode 6777 and another owner in a hard link change nothing.",
           file(b"f", b"1", mode=0o600), header(b"h", b"1", link=b"f", mode=0o6777, uid=1000))
    accept("hard-link-with-a-size", "Old tars state the target's size; no data follows.",
           file(b"f", b"1"), hard_link(b"h", b"f", size=512), file(b"g", b"2"))
    accept("hard-link-over-its-target", "`f` to `f` keeps the file.",
           file(b"f", b"1"), hard_link(b"./f", b"f"))


def whiteouts():
    group("Whiteouts", "The layer below has `below/file` and `below/dir/file`.")
    reject("whiteout-of-dotdot", "`d/.wh...` would delete `d/..`.",
           directory(b"d/"), file(b"d/.wh...", b""))
    reject("whiteout-of-dot", "`d/.wh..` would delete `d/.`.", directory(b"d/"), file(b"d/.wh..", b""))
    reject("whiteout-of-nothing", "`.wh.`.", file(b".wh.", b""))
    reject("whiteout-outside", "`../.wh.canary`.", file(b"../../../.wh.canary", b""))
    accept("whiteouts", "Of a file below, of a directory below, of what nobody has.",
           file(b"below/.wh.file", b""), file(b"below/.wh.dir", b""), file(b".wh.nothing", b""))
    accept("whiteout-of-own-content", "What the same tar makes is not deleted by it.",
           file(b"f", b"kept"), file(b".wh.f", b""), directory(b"d/"), file(b"d/g", b"kept"), file(b".wh.d", b""))
    accept("whiteout-of-a-whiteout", "`.wh..wh.x` is aufs's own bookkeeping.", file(b".wh..wh.x", b""))
    accept("whiteout-as-a-directory", "`.wh.below/` as a directory is a whiteout all the same.",
           directory(b".wh.below/"))
    accept("whiteout-as-a-symlink-out", "`.wh.below -> /mnt/canary`: likewise.", symlink(b".wh.below", ABSOLUTE))
    accept("whiteout-with-content", "`.wh.below` with data, which goes nowhere.",
           file(b".wh.below", b"data"), file(b"f"))
    accept("opaque-as-a-directory", "`d/.wh..wh..opq/`.", directory(b"d/"), directory(b"d/.wh..wh..opq/"))
    accept("opaque-in-a-missing-directory", "The directory is made.", file(b"a/b/.wh..wh..opq", b""))
    accept("opaque-in-the-root", "To overlayfs the root is never opaque: no effect.", file(b".wh..wh..opq", b""))
    accept("opaque-above-whiteouts", "Whiteouts deep in a directory before it becomes opaque, and after: none is left.",
           directory(b"below/"), file(b"below/dir/.wh.file", b""), file(b"below/.wh..wh..opq", b""),
           file(b"below/new/.wh.x", b""), file(b"below/.wh.y", b""))
    reject("opaque-in-a-file", "`f/.wh..wh..opq` where `f` is a file.", file(b"f"), file(b"f/.wh..wh..opq", b""))
    accept("whiteout-then-directory", "Deleted and made anew: opaque.",
           file(b".wh.below", b""), directory(b"below/", 0o700))


def devices():
    group("Devices")
    reject("device-0-0", "A device that overlayfs takes for a whiteout.", device(b"below", 0, 0))
    reject("device-0-0-in-v7", "An archive too old for device numbers: they are 0:0.",
           device(b"below", 1, 3, magic=b"\0" * 8))
    reject("device-number-that-wraps",
           "Major 4096 and minor 2^20 need more bits than dev_t has on disk; cut, they are 0:0.",
           device(b"below", 4096, 1 << 20))
    reject("device-number-negative", "Major -1 in base 256.",
           device(b"c", 0, 0, patch=((329, base256(-1, 8)),)))
    reject("device-outside", "`../../../canary/sda`.", device(OUT + b"/sda", 8, 0, b"4"))
    reject("device-through-a-symlink", "`s -> ../../../canary`, then a device `s/sda`.",
           symlink(b"s", OUT), device(b"s/sda", 8, 0, b"4"))
    accept("device-nodes", "Those of the machine are content like others; engines decide who may open them.",
           device(b"mem", 1, 1), device(b"sda", 8, 0, b"4"), header(b"p", b"6"), device(b"block00", 0, 0, b"4"))


def sizes():
    group("Numbers and sizes")
    reject("size-8-eib", "2^63-1 bytes in PAX and none behind it.", pax((b"size", b"9223372036854775807")), file(b"f"))
    reject("size-8-eib-base-256", "The same in base 256.", file(b"f", patch=((124, base256(2**63 - 1, 12)),)))
    reject("size-more-than-63-bits", "2^63 in base 256.", file(b"f", patch=((124, base256(2**63, 12)),)))
    reject("size-negative-base-256", "-1 in base 256.", file(b"f", patch=((124, base256(-1, 12)),)))
    reject("size-negative-in-pax", "-512 in PAX: a reader that skips backwards never ends.",
           pax((b"size", b"-512")), file(b"f"))
    reject("size-no-number", "`0x10` octal.", file(b"f", patch=((124, b"00000000x10\0"),)))
    reject("size-hex-in-pax", "`0x200` in PAX.", pax((b"size", b"0x200")), file(b"f", b"x" * 512))
    reject("size-empty-in-pax", "An empty PAX size: 0, or the header's?", pax((b"size", b"")), file(b"f", b"x" * 512))
    reject("uid-negative", "-1 in base 256: to chown, leave as it is.", file(b"f", patch=((108, base256(-1, 8)),)))
    reject("uid-minus-one-as-32-bits", "4294967295 in PAX: likewise.", pax((b"uid", b"4294967295")), file(b"f"))
    reject("uid-cut-to-root", "2^32 in PAX: root, where ids are cut to 32 bits.",
           pax((b"uid", b"4294967296")), file(b"f", mode=0o4755))
    reject("uid-with-an-odd-mark", "Base 256 marked by 0xc0: a negative number, or none.",
           file(b"f"), file(b"g", patch=((108, b"\xc0" + b"\0" * 7),)))
    reject("prefix-without-magic", "A prefix in a header that has no magic: Python takes it.",
           file(b"f", magic=b"\0" * 8, prefix=b"../canary"))
    reject("time-no-number", "`1e9` as a PAX time.", pax((b"mtime", b"1e9")), file(b"f"))
    accept("time-at-the-ends", "The first and the last second that 64 bits have.",
           pax((b"mtime", b"9223372036854775807")), file(b"a"), pax((b"mtime", b"-9223372036854775808")), file(b"b"))
    reject("checksum-bad", "The second header's checksum is wrong.",
           file(b"f"), file(b"g", patch=((0, b"g"),))[:148] + b"000001\0 " + file(b"g")[156:])
    reject("checksum-bad-first", "The first header's checksum is wrong.",
           file(b"g")[:148] + b"000001\0 " + file(b"g")[156:])
    accept("checksum-signed", "Old tars added bytes as signed numbers.", file(b"\xff\xfe", signed=True))


def extensions():
    group("PAX headers")
    two = (b"path", b"a")
    reject("pax-two-headers", "Two x headers for one member: which wins?", pax(two), pax((b"path", b"b")), file(b"f"))
    reject("pax-nested", "An x header that is described by another, with a path and a size of its own.",
           pax((b"size", b"512"), two), pax((b"path", b"b")), file(b"f"))
    reject("pax-global-inside", "A g header between an x header and its member.",
           pax(two), pax((b"path", b"g"), type=b"g"), file(b"f"))
    reject("pax-many-globals", "Nine g headers: readers stack a call for each.",
           *[pax((b"comment", b"c"), type=b"g")] * 9, file(b"f"))
    accept("pax-global", "An honest g header: what it says about owners is passed over, as engines do.",
           pax((b"comment", b"c"), (b"uid", b"1000"), (b"mtime", b"1"), type=b"g"), file(b"f"))
    reject("pax-global-path", "A g header with a path: to some readers the name of every member.",
           pax((b"path", OUT), type=b"g"), file(b"f"))
    reject("pax-global-size", "A g header with a size: likewise.",
           pax((b"size", b"512"), type=b"g"), file(b"f", b"x" * 512))
    reject("pax-record-in-the-padding", "A second record behind the header's size: Python reads it.",
           extension(b"x", record(b"path", b"a") + record(b"path", b"b"), size=10), file(b"f"))
    reject("pax-alone", "An x header with no member.", file(b"f"), pax(two))
    reject("pax-claims-a-gigabyte", "An x header of 2^30 bytes, which are not there.",
           extension(b"x", b"", size=1 << 30), file(b"f"))
    reject("pax-size-too-small", "The header's size cuts its second record.",
           extension(b"x", record(b"path", b"a") + record(b"uid", b"7"), size=12), file(b"f"))
    reject("pax-size-too-large", "The header's size takes its padding for records.",
           extension(b"x", record(b"path", b"a"), size=100), file(b"f"))
    reject("pax-record-length-too-large", "A record longer than the header.", extension(b"x", b"99 path=a\n"), file(b"f"))
    reject("pax-record-length-too-small", "A record that ends before its end.",
           extension(b"x", b"9 path=abc\n"), file(b"f"))
    reject("pax-record-length-zero", "A record of no length: a loop without end.", extension(b"x", b"0 path=a\n"), file(b"f"))
    reject("pax-record-length-negative", "A negative length.", extension(b"x", b"-10 path=a\n"), file(b"f"))
    reject("pax-record-length-huge", "A length of 30 digits.", extension(b"x", b"9" * 30 + b" path=a\n"), file(b"f"))
    reject("pax-record-length-with-plus", "`+11 path=a`.", extension(b"x", b"+11 path=a\n"), file(b"f"))
    reject("pax-record-without-newline", "Ends otherwise.", extension(b"x", b"9 path=ab"), file(b"f"))
    reject("pax-record-without-value", "No equals sign.", extension(b"x", b"7 path\n"), file(b"f"))
    reject("pax-key-with-nul", "A NUL in the key.", pax((b"pa\0th", b"a")), file(b"f"))
    accept("pax-thousands-of-records", "5000 records of one key: the last one counts.",
           pax(*[(b"path", b"n%d" % n) for n in range(5000)]), file(b"f"))
    accept("pax-charset-binary", "`hdrcharset=BINARY` changes nothing.",
           pax((b"hdrcharset", b"BINARY"), (b"path", b"\xe9")), file(b"f"))
    group("GNU headers")
    reject("gnu-name-claims-a-gigabyte", "A long name of 2^30 bytes, which are not there.",
           extension(b"L", b"", size=1 << 30, magic=GNU), file(b"f", magic=GNU))
    reject("gnu-name-claims-8-eib", "A long name of 2^63-1 bytes: room for it plus one is no room.",
           extension(b"L", b"", magic=GNU, patch=((124, base256(2**63 - 1, 12)),)), file(b"f", magic=GNU))
    reject("gnu-name-negative", "A long name of -1 bytes.",
           extension(b"L", b"", magic=GNU, patch=((124, base256(-1, 12)),)), file(b"f", magic=GNU))
    reject("gnu-two-names", "Two long names for one member.", long_name(b"a"), long_name(b"b"), file(b"f", magic=GNU))
    reject("gnu-link-empty", "A long link of no bytes in front of a symlink with a target: which one?",
           long_link(b""), symlink(b"s", b"t", magic=GNU))
    reject("gnu-name-without-end", "A long name that goes on in the padding: Python reads on.",
           extension(b"L", b"n" * 110, size=101, magic=GNU), file(b"f", magic=GNU))
    reject("gnu-name-and-pax-path", "Both, and they differ.", long_name(b"a"), pax((b"path", b"b")), file(b"f"))
    reject("gnu-name-alone", "A long name with no member.", file(b"f"), long_name(b"a"))


def sparse_files():
    group("Sparse files")
    accept("sparse", "One of each kind, with holes.",
           sparse_gnu(b"gnu", 3000, [(1000, 5)], b"12345"),
           sparse_1_0(b"one", 3000, b"1\n1000\n5\n", b"12345"))
    accept("sparse-64-mib", "A hole of 64 MiB costs nothing.", sparse_gnu(b"s", 1 << 26, [(0, 1), (1 << 26, 0)], b"x"))
    reject("sparse-8-eib", "2^63-1 bytes of hole: no file system has room.",
           sparse_1_0(b"s", 2**63 - 1, b"1\n0\n1\n", b"x"))
    reject("sparse-run-outside", "A run that ends behind the file.", sparse_gnu(b"s", 100, [(98, 5)], b"12345"))
    reject("sparse-runs-overlap", "The second run begins inside the first.",
           sparse_1_0(b"s", 100, b"2\n0\n5\n3\n5\n", b"1234567890"))
    reject("sparse-runs-backwards", "The second run begins before the first.",
           sparse_1_0(b"s", 100, b"2\n50\n5\n0\n5\n", b"1234567890"))
    reject("sparse-run-negative", "A run at -5.", sparse_1_0(b"s", 100, b"1\n-5\n5\n", b"12345"))
    reject("sparse-run-wraps", "Offset and length that add up to less than either.",
           sparse_1_0(b"s", 100, b"1\n9223372036854775807\n5\n", b"12345"))
    reject("sparse-runs-longer-than-data", "Runs of 500 bytes, data of 5.", sparse_gnu(b"s", 1000, [(0, 500)], b"12345"))
    reject("sparse-runs-shorter-than-data", "Runs of 1 byte, data of 5: the rest is whose?",
           sparse_gnu(b"s", 1000, [(0, 1)], b"12345"))
    reject("sparse-count-lies", "A map of a million runs, of which one is there.",
           sparse_1_0(b"s", 100, b"1000000\n0\n5\n", b"12345"))
    reject("sparse-numblocks-lies", "A PAX 0.1 map of one run that says it has two.",
           pax((b"GNU.sparse.size", b"100"), (b"GNU.sparse.numblocks", b"2"), (b"GNU.sparse.map", b"0,5")),
           file(b"s", b"12345"))
    reject("sparse-map-no-number", "Letters in the map.", sparse_1_0(b"s", 100, b"1\nzero\n5\n", b"12345"))
    reject("sparse-map-without-end", "A PAX 1.0 map of digits without a newline.",
           sparse_1_0(b"s", 100, b"1" * 1024, b""))
    reject("sparse-map-continues-nowhere", "An old GNU map that goes on in a block that is the next member.",
           sparse_gnu(b"s", 100, [(0, 1), (1, 1), (2, 1), (3, 1)], b"1234", extended=1), file(b"f"))
    reject("sparse-directory", "A directory with a sparse map.",
           pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")), directory(b"d/"))
    reject("sparse-unknown-version", "Version 2.0.",
           pax((b"GNU.sparse.major", b"2"), (b"GNU.sparse.minor", b"0")), file(b"f"))
    reject("sparse-map-in-a-plain-file", "A GNU header of type 0 with a sparse map.",
           header(b"f", magic=GNU, size=5, patch=((386, pair(10, 5)), (483, b"%011o\0" % 15))), pad(b"12345"))
    reject("sparse-run-of-nothing-outside", "A run without a byte behind the file: some readers mind.",
           sparse_gnu(b"s", 100, [(0, 5), (200, 0)], b"12345"))
    reject("sparse-in-an-old-header", "A PAX map, then a header without magic: GNU tar looks for a map of its own.",
           pax((b"GNU.sparse.size", b"100"), (b"GNU.sparse.map", b"0,5")), file(b"s", b"12345", magic=b"\0" * 8))
    reject("sparse-name-out", "The name in the sparse record climbs out.",
           sparse_1_0(OUT + b"/file", 1, b"1\n0\n1\n", b"x"))


def ends():
    group("Ends")
    whole = file(b"first", b"1" * 700)
    reject("cut-in-a-header", "Within the second header.", whole, file(b"g")[:300], end=b"")
    reject("cut-in-the-first-header", "Within the first.", file(b"g")[:300], end=b"")
    reject("cut-in-data", "Within a file.", whole[:700], end=b"")
    reject("cut-in-padding", "Behind a file's last byte, before its block ends.", whole[:-100], end=b"")
    reject("cut-before-data", "Right behind a header.", whole[:512], end=b"")
    reject("cut-in-a-pax-header", "Within the records.", file(b"g"), pax((b"path", b"p" * 700))[:-600], end=b"")
    reject("cut-behind-a-pax-header", "Between a PAX header and its member.", file(b"g"), pax((b"path", b"p")), end=b"")
    reject("cut-in-a-gnu-name", "Within a long name.", file(b"g"), long_name(b"n" * 700)[:-600], end=b"")
    reject("cut-in-a-sparse-map", "Before the block in which the map goes on.",
           sparse_gnu(b"s", 100, [(0, 1)] * 4, b"", extended=1), end=b"")
    reject("cut-in-a-zero-block", "Within the first closing block.", file(b"g"), end=b"\0" * 300)
    reject("cut-in-the-second-zero-block", "Within the second.", file(b"g"), end=b"\0" * 700)
    accept("no-end", "No closing blocks.", file(b"f"), end=b"")
    accept("one-zero-block-at-the-end", "One closing block.", file(b"f"), end=b"\0" * 512)
    accept("nothing", "No byte.", end=b"")
    reject("one-zero-block-then-data", "Readers that want two zero blocks see a second file.",
           file(b"seen"), b"\0" * 512, file(b"unseen"))
    accept("data-behind-the-end", "Two zero blocks, then another archive: padding.",
           file(b"f"), END, file(OUT + b"/file"), END, b"garbage")
    reject("garbage-behind-a-member", "A block of letters.", file(b"f"), b"garbage!" * 64)
    reject("garbage", "Nothing but letters.", b"garbage!" * 200, end=b"")
    reject("shorter-than-a-block", "Four letters.", b"tiny", end=b"")


# What xz made of "xz" once; versions of liblzma differ.
XZ = base64.b64decode("/Td6WFoAAAFpIt42AgAhARYAAAB0L+WjAQABeHoAAAAjee8WAAEWAtBhENKQQpkNAQAAAAABWVo=")


def foreign():
    group("Other formats", "libarchive knows all of these; only tar may be looked for.")
    inner = file(b"f") + END
    reject("gzip", "A gzip stream with a tar in it.",
           b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01" + struct.pack("<HH", len(inner), len(inner) ^ 0xffff) + inner +
           struct.pack("<II", crc32(inner), len(inner)), end=b"")
    reject("bzip2", "A bzip2 stream with a tar in it.", bz2.compress(inner), end=b"")
    reject("xz", "An xz stream.", XZ, end=b"")
    reject("zstd", "A zstd frame with a tar in it, stored.",
           b"\x28\xb5\x2f\xfd\x60" + struct.pack("<H", len(inner) - 256) +
           struct.pack("<I", len(inner) << 3 | 1)[:3] + inner, end=b"")
    reject("lz4", "An lz4 frame with a tar in it, stored.",
           b"\x04\x22\x4d\x18\x60\x40\x82" + struct.pack("<I", len(inner) | 1 << 31) + inner + b"\0" * 4, end=b"")
    reject("compress", "The magic number of compress(1).", b"\x1f\x9d\x90" + b"f" * 600, end=b"")
    reject("lzip", "The magic number of lzip.", b"LZIP\x01\x0c" + b"f" * 600, end=b"")
    reject("uuencode", "A uuencoded tar.", b"begin 644 f.tar\n" + b"M" + b"`" * 60 + b"\n`\nend\n" + b"\n" * 600, end=b"")
    name = b"zip"
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 0, 0, 33, crc32(b"x"), 1, 1, len(name), 0) + name + b"x"
    central = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 33, crc32(b"x"), 1, 1, len(name),
                          0, 0, 0, 0, 0, 0) + name
    reject("zip", "A zip archive with one stored file.", local + central +
           struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0), end=b"")
    reject("cpio", "A cpio archive (newc) with one file.", cpio(b"f", b"x") + cpio(b"TRAILER!!!", b""), end=b"")
    reject("cpio-odc", "An old portable cpio archive.", b"070707" + b"0" * 600, end=b"")
    reject("ar", "An ar archive with one file.",
           b"!<arch>\n" + b"f/".ljust(16) + b"0".ljust(12) + b"0".ljust(6) * 2 + b"100644".ljust(8) +
           b"600".ljust(10) + b"`\n" + b"x" * 600, end=b"")
    reject("7-zip", "A 7-zip archive with nothing in it.",
           b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", crc32(b"\0" * 20)) + b"\0" * 20, end=b"")
    reject("rar", "The magic number of RAR.", b"Rar!\x1a\x07\0" + b"f" * 600, end=b"")
    reject("cab", "The magic number of a cabinet.", b"MSCF\0\0\0\0" + b"f" * 600, end=b"")
    reject("xar", "The magic number of xar.", b"xar!\0\x1c\0\1" + b"f" * 600, end=b"")
    reject("warc", "A WARC record.", b"WARC/1.0\r\nWARC-Type: warcinfo\r\n" + b"Content-Length: 0\r\n\r\n" * 30, end=b"")
    reject("mtree", "An mtree file that names a file of the machine.",
           b"#mtree\n./f type=file contents=/etc/passwd\n" + b"# \n" * 200, end=b"")
    accept("iso-image", "An ISO 9660 image begins with 32 KiB of zeros: an empty tar, and nothing of the image.",
           b"\0" * 32768 + iso_volume(), end=b"")
    accept("compressed-behind-the-end", "A gzip stream where padding is.", file(b"f"), END, b"\x1f\x8b\x08" + b"f" * 600)


def crc32(data):
    import zlib
    return zlib.crc32(data)


def cpio(name, data):
    fields = (1, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    text = b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"
    text += b"\0" * (-len(text) % 4)
    return text + data + b"\0" * (-len(data) % 4)


def iso_volume():
    primary = bytearray(2048)
    primary[0:7] = b"\1CD001\1"
    primary[80:88] = struct.pack("<I", 18) + struct.pack(">I", 18)
    primary[120:128] = b"\1\0\0\1" + b"\1\0\0\1"
    primary[128:132] = b"\0\x08\x08\0"
    terminator = bytearray(2048)
    terminator[0:7] = b"\xffCD001\1"
    return bytes(primary) + bytes(terminator)


def types():
    group("Types")
    for name, type, text in ((b"contiguous", b"7", "7, a contiguous file"), (b"multi-volume", b"M", "M, GNU's continued file"),
                             (b"volume-label", b"V", "V, GNU's label"), (b"incremental", b"D", "D, GNU's directory list"),
                             (b"old-name", b"N", "N, old GNU's renames: it moves files by text"),
                             (b"solaris-acl", b"A", "A, Solaris's access list"),
                             (b"solaris-extension", b"X", "X, Solaris's own PAX header"),
                             (b"vendor", b"Z", "Z, a vendor's own"), (b"control", b"\x01", "the byte 1"),
                             (b"high-bit", b"\xb0", "0 with the high bit set")):
        body = b"Rename f to ../../../canary/file\n" if type == b"N" else b""
        reject("type-" + name.decode(), "Type " + text + ".", file(b"f"), file(b"odd", body, type=type), file(b"g"))
    reject("type-nul-with-two-names", "Type NUL, `d/` in the header and `f` as the long name: a directory or a file?",
           long_name(b"f"), header(b"d/", type=b"\0", magic=GNU))
    accept("type-nul", "Before ustar a file's type was NUL, and a directory's too, with a slash at the end.",
           file(b"f", type=b"\0", magic=b"\0" * 8), directory(b"d/", magic=b"\0" * 8, patch=((156, b"\0"),)))


def xattr(name, value):
    return pax((b"SCHILY.xattr." + name, value))


def xattrs():
    group("Extended attributes")
    for name in ("trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.overlay.metacopy",
                 "trusted.overlay.origin", "trusted.overlay.overlay.opaque", "user.overlay.opaque",
                 "user.overlay.whiteout"):
        value = b"/../../../canary" if name.endswith("redirect") else b"y"
        reject("xattr-" + name.replace(".", "-"), "`%s`: overlayfs would act on it." % name,
               xattr(name.encode(), value), directory(b"below/"))
    reject("xattr-unknown-namespace", "`bogus.x`: no file system holds it.", xattr(b"bogus.x", b"y"), file(b"f"))
    reject("xattr-without-namespace", "`x`.", xattr(b"x", b"y"), file(b"f"))
    reject("xattr-without-name", "No name at all.", xattr(b"", b"y"), file(b"f"))
    reject("xattr-name-256", "A name longer than 255 bytes.", xattr(b"trusted." + b"n" * 248, b"y"), file(b"f"))
    reject("xattr-value-65537", "A value longer than 64 KiB.", xattr(b"trusted.x", b"v" * 65537), file(b"f"))
    reject("xattr-capability-damaged", "A capability of three bytes.", xattr(b"security.capability", b"cap"), file(b"f"))
    reject("xattr-acl-damaged", "An access list of three bytes.", xattr(b"system.posix_acl_access", b"acl"), file(b"f"))
    accept("xattr-of-a-hard-link", "A hard link's attributes are its target's.",
           file(b"f", b"1"), xattr(b"trusted.x", b"y"), hard_link(b"h", b"f"))
    accept("xattr-user-on-a-symlink", "Passed over: no file system holds it.", xattr(b"user.x", b"y"), symlink(b"s", b"t"))
    accept("xattr-of-other-tools", "Keys that only libarchive and Red Hat's tar read are passed over.",
           pax((b"LIBARCHIVE.xattr.trusted.overlay.opaque", b"eQ=="), (b"RHT.security.selinux", b"label")), directory(b"d/"))
    accept("xattr-trusted", "Bytes, a NUL among them.", xattr(b"trusted.x", b"a\0b=\n"), file(b"f", b"1"))


def duplicates():
    group("Duplicates", "Of several members with one name the last one wins.")
    accept("duplicate-files", "Three times the same name, spelt differently.",
           file(b"f", b"1", mode=0o600), file(b"./f", b"22"), file(b"/f", b"333"))
    accept("duplicate-kinds", "A directory with content, a symlink, a file, a fifo, a directory.",
           directory(b"x/", 0o700), file(b"x/in"), symlink(b"x", ABSOLUTE), file(b"x"), header(b"x", b"6"), directory(b"x/"))
    accept("duplicate-directories", "A directory on a directory renews its attributes and keeps its content.",
           directory(b"d/", 0o700), file(b"d/f", b"1"), directory(b"d/", 0o711, uid=5))
    reject("file-as-a-parent", "`f` is a file, then `f/g`.", file(b"f"), file(b"f/g"))
    reject("fifo-as-a-parent", "`p` is a fifo: opening it would wait.", header(b"p", b"6"), file(b"p/g"))
    reject("device-as-a-parent", "`c` is a device: opening it would act.", device(b"c", 10, 130), file(b"c/g"))
    accept("whiteout-as-a-parent", "`w` was deleted by the same tar, then `w/g`: a new directory, opaque.",
           file(b".wh.w", b""), file(b"w/g"))


def published():
    group("Published attacks", "The shape of each, aimed at the canary. Where a number stands for a race "
          "or an API, the shape is what a tar can say of it.")
    swaps = []
    for n in range(20):
        swaps += [directory(b"d/"), file(b"d/f%d" % n), symlink(b"d", b"e"), file(b"d/g%d" % n)]
    reject("cve-2018-15664-swapped-parent",
           "docker cp: a directory is a symlink by the time it is used. `d` is swapped forty times between a "
           "directory and a link inside, in the end for one to the canary.",
           directory(b"e/"), *swaps, symlink(b"d", OUT), file(b"d/file"))
    # What is known of it: crafted links escape the extraction root, by link and by replaced parents.
    reject("cve-2026-17106-hard-linked-symlink",
           "CopyEscape: `a/b/c/l -> ../../../canary` stays inside where it stands; its hard link `h` in the root, "
           "where the same text leads out, is used as a directory.",
           directory(b"a/b/c/"), symlink(b"a/b/c/l", OUT), hard_link(b"h", b"a/b/c/l"), file(b"h/file"))
    reject("cve-2026-17106-replaced-parent",
           "CopyEscape: `l -> a/b/c/../../../canary` stays inside until `a/b` becomes a link to the root.",
           directory(b"a/b/c/"), symlink(b"l", b"a/b/c/../../../canary"), symlink(b"a/b", b"/"),
           file(b"l/file"))
    reject("cve-2026-17106-moved-up",
           "CopyEscape: `a/b -> ..` shortens the way down, so that `a/b/l -> ../../../canary` starts higher than it reads.",
           directory(b"a/"), symlink(b"a/b", b".."), symlink(b"a/b/l", OUT), hard_link(b"m", b"a/b/l"), file(b"m/file"))
    nested = file(b"smuggled", b"evil")
    accept("cve-2025-62518-pax-size",
           "TARmageddon: 0 in the header and the true size in PAX; a reader that skips by the header finds the "
           "members of the tar inside.",
           pax((b"size", b"%d" % len(nested))), header(b"inner.tar", size=0), nested, file(b"last", b"1"))
    accept("cve-2025-62518-ustar-size",
           "The other way round: a size in the header, 0 in PAX; a reader that skips by the header misses a member.",
           pax((b"size", b"0")), header(b"f", size=len(nested)), nested, file(b"last", b"1"))
    reject("cve-2025-62518-size-beyond-the-end", "The PAX size leads behind the end of the stream.",
           pax((b"size", b"1048576")), header(b"f", size=4), pad(b"data"), file(b"last"))
    reject("cve-2026-53655-size-of-a-long-name",
           "node-tar: a PAX size, then a GNU long name; a reader that gives the size to the name is lost.",
           pax((b"size", b"2048")), long_name(b"n"), file(b"f", b"x", magic=GNU), file(b"hidden"))
    reject("cve-2014-9356-absolute-symlink", "Docker: `bin -> /`, then `bin/mnt/canary/file`.",
           symlink(b"bin", b"/"), file(b"bin/mnt/canary", b""), file(b"bin/mnt/canary/file"))
    reject("cve-2014-6407-hard-link-through-a-symlink", "Docker: a hard link whose target goes through a link to `/`.",
           symlink(b"root", b"/"), hard_link(b"h", b"root/mnt/canary/file"), file(b"h"))
    reject("cve-2016-6321-prefix-stripping", "GNU tar: `etc/../../../../canary/file` where only the front is stripped.",
           file(b"etc/" + b"../" + OUT + b"/file"))
    accept("cve-2016-5418-hard-link-with-data", "libarchive: a hard link to a symlink with data, written through both.",
           symlink(b"s", ABSOLUTE + b"/file"), hard_link(b"h", b"s", size=4, patch=()), file(b"after", b"1"))
    accept("cve-2021-32803-symlink-cache", "node-tar: the cache of made directories outlives a directory, which is then a link.",
           directory(b"d/"), symlink(b"d", b"./e"), directory(b"d/"), file(b"d/file", b"own"))
    accept("cve-2021-37713-drive", "node-tar: `C:../../canary` is a name with a `..` inside, no drive.",
           file(b"C:../canary/file", b"1"))
    reject("cve-2025-45582-links-in-one-archive", "GNU tar: `x -> ../../../canary`, then `x/file`, as from a second archive.",
           symlink(b"x", OUT), directory(b"x/../x/"), symlink(b"x", OUT), file(b"x/file"))
    # Sixteen components of 247 bytes, so that the text of the way is longer than PATH_MAX.
    steps, way = [], b""
    for letter in b"abcdefghijklmnop":
        part = b"d" * 247
        steps += [pax((b"path", way + part)), directory(b"d"), symlink_at(way + bytes([letter]), part)]
        way += bytes([letter]) + b"/"
    link = way + b"l" * 254
    reject("cve-2025-4517-realpath-overflow",
           "Python: the real path of a link is longer than PATH_MAX, so a check of it stops early; the link then "
           "climbs out.",
           *steps, pax((b"path", link), (b"linkpath", b"../" * 16)), symlink(b"l", b"x"),
           pax((b"linkpath", link + b"/" + OUT)), symlink(b"escape", b"x"),
           pax((b"linkpath", b"escape/file")), hard_link(b"flaglink", b"x"), file(b"flaglink"))
    reject("cve-2022-48303-v7-blanks", "GNU tar: a V7 header whose number is all blanks but for one byte.",
           file(b"f", magic=b"\0" * 8, patch=((136, b" " * 11 + b"\xff"),)))
    reject("cve-2023-39804-xattr-key", "GNU tar: an xattr record whose name is copied to the stack.",
           pax((b"SCHILY.xattr." + b"n" * 5000, b"v")), file(b"f"))
    reject("cve-2019-9923-sparse-without-map", "GNU tar: a sparse file of version 1.0 without a map.",
           pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"5")), header(b"f"))
    reject("cve-2025-58183-sparse-map-bomb", "Go: a sparse map that grows without limit while its file stays small.",
           sparse_1_0(b"s", 4, b"999999999\n" + b"0\n0\n" * 200, b""))


def symlink_at(name, target):
    return pax((b"path", name), (b"linkpath", target)) + symlink(b"s", b"t")


for section in (names, symlinks, hard_links, whiteouts, devices, sizes, extensions, sparse_files, ends, foreign, types,
                xattrs, duplicates, published):
    section()

# --- writing ---------------------------------------------------------------------------------------


def readme():
    yield "# Hostile and odd tars\n\n"
    yield ("Made by `make.py`, this text included: change that, run it, and say in [expected.txt](expected.txt) "
           "what overlayd\nmakes of a new file. `reject-*` must be refused, `accept-*` become exactly the tree that "
           "is written there;\n`tests/integration/hostile_tar_test.cc` applies each through the store. The canary is "
           "what nobody may touch:\n`canary/` beside the home, and `/mnt/canary`.\n")
    for title, text, files in GROUPS:
        yield "\n## " + title + "\n\n"
        if text:
            yield text + "\n\n"
        yield "| File | What it tries |\n|---|---|\n"
        for name, what, _ in files:
            yield "| `%s` | %s |\n" % (name[:-len(".tar")], what)


def main():
    wanted = {name: data for _, _, files in GROUPS for name, _, data in files}
    wanted["README.md"] = "".join(readme()).encode()
    present = {name for name in os.listdir(HERE) if name.endswith(".tar")}
    wrong = sorted(present - set(wanted))
    for name, data in wanted.items():
        path = os.path.join(HERE, name)
        if os.path.exists(path):
            with open(path, "rb") as old:
                if old.read() == data:
                    continue
        wrong.append(name)
        if sys.argv[1:] != ["--check"]:
            with open(path, "wb") as new:
                new.write(data)
    if sys.argv[1:] == ["--check"]:
        for name in wrong:
            print("not as make.py makes it: " + name, file=sys.stderr)
        return 1 if wrong else 0
    for name in sorted(present - set(wanted)):
        os.remove(os.path.join(HERE, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
