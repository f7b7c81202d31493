"""Zip and tar archives that are damaged or mean harm, by name: (file name, bytes)."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib

GOOD = {"Train/6/00001.bin": b"a" * 50, "Test/6/00002.bin": b"b" * 50}
BLOCK = 512


def member(name, content=b"evil", **fields):
    """A tar member, and its content."""
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    if "size" not in fields:
        info.size = len(content)
    return info, content


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, b"", type=kind, linkname=target)


def tar(*members, format=tarfile.PAX_FORMAT, good=GOOD, pax=None):
    """An uncompressed tar of some good members and others."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format, pax_headers=pax) as archive:
        for info, content in [*(member(name, content) for name, content in good.items()), *members]:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_(*members, good=GOOD, method=zipfile.ZIP_DEFLATED):
    """A zip of some good members and others, each (name or ZipInfo, content)."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in [*good.items(), *members]:
            archive.writestr(name, content)
    return buffer.getvalue()


def with_mode(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def patched(data, signature, offset, value, which=-1):
    """The bytes of a zip with a field of a local (PK34), central (PK12) or end record (PK56) changed."""
    places = [at for at in range(len(data)) if data.startswith(signature, at)]
    at = places[which] + offset
    return data[:at] + value + data[at + len(value) :]


def checksummed(header):
    """A tar header with the right sum over its bytes."""
    blank = header[:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def header(name, size=b"%011o\0" % 0, kind=b"0", linkname=b""):
    """A tar header by hand, for sizes and kinds that tarfile does not write."""
    fields = [(name.encode(), 100), (b"0000644\0", 8), (b"0000000\0", 8), (b"0000000\0", 8), (size, 12)]
    fields += [(b"%011o\0" % 0, 12), (b"", 8), (kind, 1), (linkname, 100), (b"ustar\x0000", 8)]
    return checksummed(b"".join(value.ljust(width, b"\0") for value, width in fields).ljust(BLOCK, b"\0"))


def behind(*blocks):
    """A tar of good members, then blocks as they are, then its end."""
    body = tar()
    return body[: _end(body)] + b"".join(blocks) + bytes(2 * BLOCK)


def _end(body):
    """The length of a tar without the zeros at its end."""
    return -(-len(body.rstrip(b"\0")) // BLOCK) * BLOCK


def pax(*records):
    """An extended header with raw records."""
    content = b"".join(records)
    padded = content.ljust(-(-len(content) // BLOCK) * BLOCK, b"\0")
    return header("./PaxHeaders/x", b"%011o\0" % len(content), b"x") + padded


def record(key, value):
    """A pax record, whose length counts itself."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def cve_2025_4517(outside):
    """Links so deep that Python's check of where they lead gives up halfway."""
    folder, members, path = "d" * 247, [], ""
    for letter in "abcdefghijklmnop":
        members += [member(os.path.join(path, folder), b"", type=tarfile.DIRTYPE)]
        members += [link(os.path.join(path, letter), folder)]
        path = os.path.join(path, folder)
    long = os.path.join("/".join("abcdefghijklmnop"), "l" * 254)
    members += [link(long, "../" * 16), link("escape", long + "/.." * 16 + outside)]
    members += [link("flag", "escape/there", tarfile.LNKTYPE), member("flag", b"evil")]
    return tar(*members)


def end_of_zip(data, members):
    return patched(patched(data, b"PK\5\6", 8, struct.pack("<H", members)), b"PK\5\6", 10, struct.pack("<H", members))


def without_last_entry(data):
    """A zip whose list of members ends one early."""
    places = [at for at in range(len(data)) if data.startswith(b"PK\1\2", at)]
    size = struct.unpack("<I", data[data.rfind(b"PK\5\6") + 12 :][:4])[0]
    return patched(data, b"PK\5\6", 12, struct.pack("<I", size - (data.rfind(b"PK\5\6") - places[-1])))


def overlapping(count):
    """A zip whose entries all point at the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Train/6/00000.bin", bytes(2**20))
    data = buffer.getvalue()
    start, end = data.index(b"PK\1\2"), data.rfind(b"PK\5\6")
    entry = data[start:end]
    entries = b"".join(entry.replace(b"00000.bin", b"%05d.bin" % number) for number in range(count))
    body = data[:start] + entries + data[end:]
    return patched(end_of_zip(body, count), b"PK\5\6", 12, struct.pack("<I", len(entries)))


def refused(outside):
    """The archives of which nothing may be taken: name -> (file name, bytes), or what makes them where that takes time.

    Args:
        outside: an absolute path that exists and into which nothing may be written.
    """
    good_zip, good_tar = zip_(), tar()
    stored = zip_(good={"Train/6/00001.bin": b"abcdefgh" * 20}, method=zipfile.ZIP_STORED)
    encrypted = patched(patched(good_zip, b"PK\1\2", 8, b"\1\0"), b"PK\3\4", 6, b"\1\0")
    middle = good_tar.index(b"Test/6")
    huge = b"\x80" + bytes(3) + (2**62).to_bytes(8, "big")
    return {
        # names
        "tar: ..": ("a.tar", tar(member("../evil.bin"))),
        "tar: .. within": ("a.tar", tar(member("Train/../../evil.bin"))),
        "tar: .. that stays within": ("a.tar", tar(member("Train/../evil.bin"))),
        "tar: absolute": ("a.tar", tar(member(f"{outside}/evil.bin"))),
        "tar: two slashes": ("a.tar", tar(member(f"/{outside}/evil.bin"))),
        "tar: absolute by pax": ("a.tar", behind(pax(record(b"path", f"{outside}/evil.bin".encode())), header("x"))),
        "tar: backslashes": ("a.tar", tar(member("..\\..\\evil.bin"))),
        "tar: drive": ("a.tar", tar(member("C:/evil.bin"))),
        "tar: drive without a slash": ("a.tar", tar(member("C:evil.bin"))),
        "tar: NUL by pax": ("a.tar", behind(pax(record(b"path", b"Train/6/3.bin\0.txt")), header("x"))),
        "tar: stream of Windows": ("a.tar", tar(member("Train/6/3.bin:evil"))),
        "tar: device of Windows": ("a.tar", tar(member("Train/6/nul.bin"))),
        "tar: dots and a space": ("a.tar", tar(member(".. /evil.bin"))),
        "tar: long part": ("a.tar", tar(member("Train/6/" + "x" * 300))),
        "tar: deep": ("a.tar", tar(member("Train/6/" + "x/" * 3000 + "1.bin"))),
        "zip: ..": ("a.zip", zip_(("../evil.bin", b"evil"))),
        "zip: .. within": ("a.zip", zip_(("Train/../../evil.bin", b"evil"))),
        "zip: absolute": ("a.zip", zip_((f"{outside}/evil.bin", b"evil"))),
        "zip: backslashes": ("a.zip", zip_(("Train\\6\\3.bin", b"evil"))),
        "zip: .. with backslashes": ("a.zip", zip_(("..\\evil.bin", b"evil"))),
        "zip: share of Windows": ("a.zip", zip_(("\\\\server\\evil.bin", b"evil"))),
        "zip: drive": ("a.zip", zip_(("C:\\evil.bin", b"evil"))),
        "zip: NUL": ("a.zip", zip_(("Train/6/3.binQ.txt", b"evil")).replace(b"3.binQ.txt", b"3.bin\0.txt")),
        "zip: long part": ("a.zip", zip_(("Train/6/" + "x" * 300, b"evil"))),
        "zip: trailing dot": ("a.zip", zip_(("Train/6/3.bin.", b"evil"))),
        # links, devices and what else is no regular file
        "tar: CVE-2025-4517": ("a.tar", cve_2025_4517(outside)),
        "tar: CVE-2025-4517, packed": ("a.tar.xz", lambda: lzma.compress(cve_2025_4517(outside))),
        "tar: link out, then through it": ("a.tar", tar(link("Train/6/l", outside), member("Train/6/l/evil.bin"))),
        "tar: link within": ("a.tar", tar(link("Train/6/3.bin", "00001.bin"))),
        "tar: nested links": ("a.tar", tar(link("x", "."), link("x/y", ".."), link("x/y/z", ".."), member("z/evil"))),
        "tar: loop of links": ("a.tar", tar(link("Train/6/3.bin", "4.bin"), link("Train/6/4.bin", "3.bin"))),
        "tar: hard link out": ("a.tar", tar(link("Train/6/3.bin", f"{outside}/there", tarfile.LNKTYPE))),
        "tar: hard link, then written": (
            "a.tar",
            tar(link("3.bin", f"{outside}/there", tarfile.LNKTYPE), member("3.bin")),
        ),
        "tar: character device": ("a.tar", tar(member("Train/6/null", b"", type=tarfile.CHRTYPE, devmajor=1))),
        "tar: block device": ("a.tar", tar(member("Train/6/sda", b"", type=tarfile.BLKTYPE, devmajor=8))),
        "tar: pipe": ("a.tar", tar(member("Train/6/3.bin", b"", type=tarfile.FIFOTYPE))),
        "tar: unknown kind": ("a.tar", behind(header("Train/6/3.bin", kind=b"V"))),
        "tar: sparse of GNU": ("a.tar", behind(header("Train/6/3.bin", kind=b"S"))),
        "tar: sparse by pax": (
            "a.tar",
            behind(
                pax(
                    record(b"GNU.sparse.major", b"0"),
                    record(b"GNU.sparse.map", b"0,1"),
                    record(b"GNU.sparse.size", b"9" * 15),
                    record(b"GNU.sparse.name", b"Train/6/3.bin"),
                ),
                header("x", b"%011o\0" % 1),
                b"x" + bytes(511),
            ),
        ),
        "zip: link": ("a.zip", zip_((with_mode("Train/6/3.bin", stat.S_IFLNK | 0o777), outside.encode()))),
        "zip: link, then through it": (
            "a.zip",
            zip_((with_mode("l", stat.S_IFLNK | 0o777), outside.encode()), ("l/evil.bin", b"evil")),
        ),
        "zip: device": ("a.zip", zip_((with_mode("Train/6/3.bin", stat.S_IFCHR | 0o666), b""))),
        # names that are there twice
        "tar: twice": ("a.tar", tar(member("Train/6/00001.bin"))),
        "tar: twice but for dots": ("a.tar", tar(member("./Train/./6/00001.bin"))),
        "tar: twice but for the case": ("a.tar", tar(member("train/6/00001.BIN"))),
        "tar: twice but for the form of a letter": ("a.tar", tar(member("Train/é"), member("Train/e\u0301"))),
        "tar: a folder in another case": ("a.tar", tar(member("TRAIN/6/3.bin"))),
        "tar: a file as folder": ("a.tar", tar(member("Train/6/00001.bin/x"))),
        "tar: a folder as file": ("a.tar", tar(member("Train/6"))),
        "zip: twice": ("a.zip", zip_(("Train/6/00001.bin", b"evil"))),
        "zip: twice but for the case": ("a.zip", zip_(("Train/6/00001.BIN", b"evil"))),
        # damage, of which some would be members that are missing
        "tar: cut in a member": ("a.tar", good_tar[: middle + BLOCK + 20]),
        "tar: cut between members": ("a.tar", good_tar[:middle]),
        "tar: cut in a header": ("a.tar", good_tar[: middle + 100]),
        "tar: a wrong sum": ("a.tar", good_tar[: middle + 3] + b"X" + good_tar[middle + 4 :]),
        "tar: more behind the end": ("a.tar", good_tar + tar(member("Train/6/3.bin"))),
        "tar: cut packed": ("a.tar.gz", gzip.compress(good_tar)[:-20]),
        "tar: a changed byte, gzip": ("a.tar.gz", _changed(gzip.compress(tar(member("r.bin", os.urandom(5000)))))),
        "tar: a changed byte, bzip2": ("a.tar.bz2", _changed(bz2.compress(tar(member("r.bin", os.urandom(5000)))))),
        "tar: a changed byte, xz": ("a.tar.xz", _changed(lzma.compress(tar(member("r.bin", os.urandom(5000)))))),
        "tar: negative size": ("a.tar", behind(header("Train/6/3.bin", b"\xff" * 11 + b"\0"))),
        "tar: negative size by pax": ("a.tar", behind(pax(record(b"size", b"-1536")), header("x"))),
        "tar: huge size": ("a.tar", behind(header("Train/6/3.bin", huge))),
        "tar: huge name": ("a.tar", behind(header("././@LongLink", huge, b"L"), b"x" * BLOCK)),
        "tar: pax without its member": ("a.tar", behind(pax(record(b"path", b"Train/6/3.bin")))),
        "tar: many pax headers": ("a.tar", behind(*[pax(record(b"path", b"y"))] * 2000, header("x"))),
        "zip: cut": ("a.zip", good_zip[: len(good_zip) // 2]),
        "zip: end cut": ("a.zip", good_zip[:-10]),
        "zip: wrong CRC": ("a.zip", stored.replace(b"abcdefgh", b"abcdefgX", 1)),
        "zip: a changed byte": ("a.zip", _changed(zip_(good={"Train/6/1.bin": os.urandom(5000)}))),
        "zip: encrypted": ("a.zip", encrypted),
        "zip: strongly encrypted": ("a.zip", patched(encrypted, b"PK\1\2", 8, b"\x41\0")),
        "zip: unknown method": ("a.zip", patched(patched(good_zip, b"PK\1\2", 10, b"\x63\0"), b"PK\3\4", 8, b"\x63\0")),
        "zip: version 25.5": ("a.zip", patched(good_zip, b"PK\1\2", 6, b"\xff\0")),
        "zip: another name at the member": ("a.zip", good_zip.replace(b"Test/6/00002", b"Test/6/0000X", 1)),
        "zip: the list ends early": ("a.zip", without_last_entry(good_zip)),
        "zip: another number of members": ("a.zip", end_of_zip(good_zip, 3)),
        "zip: the list is elsewhere": ("a.zip", patched(good_zip, b"PK\5\6", 16, struct.pack("<I", 2**31))),
        "zip: a shorter length": ("a.zip", patched(stored, b"PK\1\2", 24, struct.pack("<I", 10))),
        "zip: a longer length": ("a.zip", patched(good_zip, b"PK\1\2", 24, struct.pack("<I", 5000))),
        "zip: bytes elsewhere": ("a.zip", patched(good_zip, b"PK\1\2", 42, struct.pack("<I", 2**30))),
        "zip: UTF-8 that is none": ("a.zip", _not_utf8()),
        "zip: damaged extra": ("a.zip", _damaged_extra()),
        "zip: is a tar": ("a.zip", good_tar),
        "tar: is a zip": ("a.tar", good_zip),
        "tar: is text": ("a.tar.gz", b"<html>404 Not Found</html>"),
        # more than fits
        "zip: bomb": ("a.zip", lambda: zip_(("Train/6/3.bin", bytes(80 * 2**20)))),
        "zip: bomb whose entries overlap": ("a.zip", lambda: overlapping(100)),
        "tar: bomb, gzip": ("a.tar.gz", lambda: _bomb(zlib.compressobj(9, zlib.DEFLATED, 31))),
        "tar: bomb, bzip2": ("a.tar.bz2", lambda: _bomb(bz2.BZ2Compressor())),
        "tar: bomb, xz": ("a.tar.xz", lambda: _bomb(lzma.LZMACompressor(preset=0))),
        "tar: zeros without end": ("a.tar.bz2", lambda: bz2.compress(good_tar) + bz2.compress(bytes(2**20)) * 100),
    }


def accepted():
    """Archives that are odd, and of which the good members are to be taken."""
    hidden = {"__MACOSX/Train/6/._00001.bin": b"s", "Train/6/._00001.bin": b"s", "Train/.DS_Store": b"s"}
    desktop = {**hidden, "Train/6/Thumbs.db": b"s", "Test/desktop.ini": b"s"}
    return {
        "tar: a time of infinity": ("a.tar", tar(*_timed(b"inf"), good={})),
        "tar: a time of NaN": ("a.tar", tar(*_timed(b"nan"), good={})),
        "tar: any owner, any mode": (
            "a.tar",
            tar(*[member(n, c, uid=2**31, gid=2**40, mode=0o7000, uname="root") for n, c in GOOD.items()], good={}),
        ),
        "tar: ./ before the names": ("a.tar", tar(good={f"./{name}": content for name, content in GOOD.items()})),
        "tar: folders": ("a.tar", tar(member("empty", b"", type=tarfile.DIRTYPE, mode=0))),
        "tar: global header": ("a.tar", tar(pax={"comment": "x"})),
        "tar: of 1979": ("a.tar", tar(format=tarfile.USTAR_FORMAT)),
        "tar: of GNU": ("a.tar", tar(format=tarfile.GNU_FORMAT)),
        "tar: packed, and called .tar": ("a.tar", gzip.compress(tar())),
        "tar: what a desktop leaves": ("a.tar", tar(good={**GOOD, **desktop})),
        "tar: a hidden link": ("a.tar", tar(link(".git/x", "/etc/passwd"))),
        "zip: what a desktop leaves": ("a.zip", zip_(good={**GOOD, **desktop})),
        "zip: folders": ("a.zip", zip_(("Train/", b""), ("empty/", b""))),
        "zip: stored": ("a.zip", zip_(method=zipfile.ZIP_STORED)),
        "zip: bzip2": ("a.zip", zip_(method=zipfile.ZIP_BZIP2)),
        "zip: lzma": ("a.zip", zip_(method=zipfile.ZIP_LZMA)),
        "zip: a capital suffix": ("A.ZIP", zip_()),
        "zip: a comment": ("a.zip", _commented()),
    }


def _timed(time):
    return [member(name, content, pax_headers={"mtime": time.decode()}) for name, content in GOOD.items()]


def _commented():
    buffer = io.BytesIO(zip_())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"of " + bytes(range(200))
    return buffer.getvalue()


def _changed(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1 :]


def _not_utf8():
    data = zip_(("Train/6/é.bin", b"evil"))
    return data.replace("é".encode(), b"\xff\xfe")


def _damaged_extra():
    info = zipfile.ZipInfo("Train/6/3.bin")
    info.extra = struct.pack("<HH", 1, 8) + bytes(8)
    data = zip_((info, b"evil"))
    return data.replace(struct.pack("<HH", 1, 8) + bytes(8), struct.pack("<HH", 1, 60000) + bytes(8))


def _bomb(packer):
    """A tar whose member is 80 MiB of zeros."""
    good = tar()
    parts = [packer.compress(good[: _end(good)]), packer.compress(header("Train/6/3.bin", b"%011o\0" % (80 * 2**20)))]
    parts += [packer.compress(bytes(2**20)) for _ in range(80)]
    return b"".join([*parts, packer.compress(bytes(2 * BLOCK)), packer.flush()])
