# SPDX-License-Identifier: MIT
"""Opening the archive of a run that somebody else may have packed.

Only the three files of a run are taken out, under names of our own. What a packed run never holds (a link, a device, a
path that leads out) refuses the whole archive, and so do more bytes or members than any run has: nothing is unpacked
before it is counted.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Iterator

from faultline.records import RecordsError
from faultline.text import safe

FILES = ("manifest.json", "trials.jsonl", "machine.json")
BYTES_MOST = 1 << 30  # unpacked, of all members together
MEMBERS_MOST = 4096
HEADER_MOST = 1 << 20
DESCRIBING = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
              tarfile.GNUTYPE_LONGLINK)
PIECE = 1 << 20
PACKED_PIECE = 16 << 10  # bytes read of a compressed stream at a time: at each end of one in it the rest is copied
STREAMS_MOST = 1 << 16  # compressed streams that follow each other in one file, as parallel packers write them
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)  # whose memory is bounded
XZ_MEMORY = 256 << 20  # bytes: what its strongest preset needs to unpack, three times over
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".zip")
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError,
          ValueError, MemoryError)


class Refused(RecordsError):
    """The archive is not opened; the text says why."""


class Unpacking(io.RawIOBase):
    """What a compressed stream holds, as a stream that ends with Refused after `most` bytes. decoder: an object as
    zlib.decompressobj gives them."""

    def __init__(self, source: BinaryIO, kind: str, most: int) -> None:
        super().__init__()
        self.source, self.kind, self.room, self.rest, self.streams = source, kind, most, b"", 0
        self.decoder = self.fresh()

    def fresh(self) -> "zlib._Decompress | lzma.LZMADecompressor | None":
        """A decoder for the next stream of the file; None for what is not compressed. Refused when there are too many
        of them."""
        self.streams += 1
        if self.streams > STREAMS_MOST:
            raise Refused(f"it consists of more than {STREAMS_MOST} compressed streams")
        if self.kind == "gz":
            return zlib.decompressobj(wbits=31)
        return lzma.LZMADecompressor(memlimit=XZ_MEMORY) if self.kind == "xz" else None

    def readable(self) -> bool:
        """It can be read."""
        return True

    def piece(self, size: int) -> bytes:
        """The next bytes, at most `size`; b"" at the end."""
        if self.decoder is None:
            return self.source.read(size)
        while True:
            if self.decoder.eof:  # further members may follow
                left = self.decoder.unused_data.lstrip(b"\0") or self.source.read(PACKED_PIECE).lstrip(b"\0")
                if not left:
                    return b""
                self.decoder, self.rest = self.fresh(), left
                assert self.decoder is not None
            waiting = self.rest or (b"" if self.held() else self.source.read(PACKED_PIECE))
            if not waiting and not self.held():
                raise EOFError("it ends early")
            out = self.decoder.decompress(waiting, size)
            self.rest = getattr(self.decoder, "unconsumed_tail", b"")
            if out:
                return out

    def held(self) -> bool:
        """Whether the decoder can go on without further input."""
        return isinstance(self.decoder, lzma.LZMADecompressor) and not self.decoder.needs_input

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """As the standard library's streams do it."""
        data = self.piece(min(len(buffer), PIECE))
        self.room -= len(data)
        if self.room < 0:
            raise Refused(f"it holds more than {BYTES_MOST >> 30} GiB")
        buffer[: len(data)] = data
        return len(data)


def kind_of(head: bytes) -> str | None:
    """What the first bytes of a file say it is: "zip", "gz", "xz", "tar"; None for no archive."""
    for magic, kind in ((b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"\x1f\x8b", "gz"), (b"\xfd7zXZ\0", "xz")):
        if head.startswith(magic):
            return kind
    return "tar" if head[257:262] == b"ustar" else None


def place(name: str) -> PurePosixPath:
    """A member's path; Refused when it leads out of the archive or is none."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise Refused(f"a member's path leads out of it: {safe(name)[:100]}")
    return path


class Member(tarfile.TarInfo):
    """A member of a tar. What describes the next one (a long name, for instance) is read into memory as a whole."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "Member":
        """A member from its header; Refused when it describes another one at a length that nobody needs, and when it is
        damaged or missing: the archive would be taken to end there."""
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # the block of zeros at the end
            raise
        except tarfile.HeaderError as error:
            raise Refused(f"the archive is broken: {safe(error)}") from None
        if found.size > HEADER_MOST and found.type in DESCRIBING:
            raise Refused(f"the description of a member is longer than {HEADER_MOST >> 10} KiB")
        return found


class Target:
    """Where the files of the one run go."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.room = BYTES_MOST
        self.members = 0
        self.found: dict[str, PurePosixPath] = {}

    def count(self, size: int) -> None:
        """Takes a member of that many bytes into account before it is read; Refused when it is too much."""
        self.members += 1
        self.room -= size
        if self.members > MEMBERS_MOST:
            raise Refused(f"it has more than {MEMBERS_MOST} members")
        if size < 0 or self.room < 0:
            raise Refused(f"it holds more than {BYTES_MOST >> 30} GiB")

    def wants(self, path: PurePosixPath) -> bool:
        """Whether this member is a file of the run; Refused when there is a second run in the archive."""
        if path.name not in FILES or len(path.parts) > 2:
            return False
        if path.name in self.found or any(other.parent != path.parent for other in self.found.values()):
            raise Refused("it holds more than one run")
        self.found[path.name] = path
        return True

    def write(self, path: PurePosixPath, source: BinaryIO, size: int) -> None:
        """Takes one file out; Refused when it is not as long as was said."""
        written = 0
        with (self.directory / path.name).open("xb") as target:
            while data := source.read(PIECE):
                written += len(data)
                if written > size:
                    break
                target.write(data)
        if written != size:
            raise Refused(f"{safe(path)} is not as long as the archive says")


def tar_unpack(stream: BinaryIO, kind: str, target: Target) -> None:
    """Takes the run out of a tar, read once from start to end."""
    source = io.BufferedReader(Unpacking(stream, kind, BYTES_MOST + MEMBERS_MOST * 2 * tarfile.BLOCKSIZE), PIECE)
    with tarfile.open(fileobj=source, mode="r|", errorlevel=2, tarinfo=Member) as packed:
        for member in packed:
            path = place(member.name)
            if not (member.isreg() or member.isdir()):
                raise Refused(f"{safe(path)[:100]} is neither a file nor a directory")
            if member.issparse():
                raise Refused(f"{safe(path)[:100]} is sparse")
            target.count(member.size)
            content = packed.extractfile(member) if member.isreg() and target.wants(path) else None
            if content is not None:
                target.write(path, content, member.size)  # type: ignore[arg-type]
    while source.read(PIECE):  # up to the check sum of what was compressed
        pass


def zip_unpack(stream: BinaryIO, target: Target) -> None:
    """Takes the run out of a zip."""
    with zipfile.ZipFile(stream) as packed:
        for member in packed.infolist():
            path = place(member.filename)
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise Refused(f"{safe(path)[:100]} is neither a file nor a directory")
            if member.compress_type not in METHODS:
                raise Refused(f"{safe(path)[:100]} is compressed by a method that is not read")
            target.count(member.file_size)
            if not member.is_dir() and target.wants(path):
                with packed.open(member) as content:
                    target.write(path, content, member.file_size)  # type: ignore[arg-type]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """An archive with its kind; Refused when it is none."""
    with path.open("rb") as stream:
        kind = kind_of(stream.read(512))
        if kind is None:
            raise Refused("it is neither a run's directory nor an archive of one (.tar, .tar.gz, .tar.xz, .zip)")
        stream.seek(0)
        yield stream, kind


def unpack(path: Path, directory: Path) -> None:
    """Takes the files of a run out of an archive into a directory; RecordsError naming the archive when it is refused,
    broken, or holds no run."""
    target = Target(directory)
    try:
        with opened(path) as (stream, kind):
            zip_unpack(stream, target) if kind == "zip" else tar_unpack(stream, kind, target)
        if "manifest.json" not in target.found:
            raise Refused("it holds no run: there is no manifest.json in it")
    except Refused as error:
        raise RecordsError(f"{path}: {error}") from None
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror or safe(error)}") from None
    except BROKEN as error:
        raise RecordsError(f"{path}: the archive is broken: {safe(error)[:200]}") from None
