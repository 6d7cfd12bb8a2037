# SPDX-License-Identifier: MIT
"""Archives of runs, packed well and with bad intentions."""

from __future__ import annotations

import gzip
import io
import lzma
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

import fake_run
from fake_run import FakeArm
from faultline import archive, sources
from faultline.records import RecordsError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scenario = fake_run.read_or_map(cells=[{}], arms=[FakeArm("pread"), FakeArm("fast", 0.9)], trials=3)
    return fake_run.write(tmp_path_factory.mktemp("runs") / "run", [scenario])


def refused(path: Path, scratch: Path) -> str:
    """Why an archive is not opened: one line that names it; nothing is left outside of where it may write."""
    scratch.mkdir(exist_ok=True)
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(RecordsError) as caught:
        archive.unpack(path, scratch)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert [p for p in sorted(path.parent.rglob("*")) if scratch not in p.parents] == [
        p for p in before if scratch not in p.parents]
    return str(caught.value).removeprefix(f"{path}: ")


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as packed:
        for info, content in members:
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.xz", "zip"])
@pytest.mark.parametrize("within", ["", "run/"])
def test_a_packed_run(run: Path, tmp_path: Path, form: str, within: str) -> None:
    path = tmp_path / f"packed.{form}"
    names = [*archive.FILES, "summary.md"]
    (tmp_path / "summary.md").write_text("not needed")
    files = [(name, run / name if (run / name).exists() else tmp_path / name) for name in names]
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, file in files:
                packed.write(file, within + name)
    else:
        with tarfile.open(path, f"w:{form.partition('.')[2]}") as packed:
            for name, file in files:
                packed.add(file, within + name)
    found = sources.stored(path)
    assert found.records == sources.stored(run).records and len(found.run.trials) == 3
    assert found.label == str(path) and not list(tmp_path.glob("faultline*"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    archive.unpack(path, scratch)
    assert sorted(p.name for p in scratch.iterdir()) == sorted(archive.FILES)
    assert (scratch / "trials.jsonl").read_bytes() == (run / "trials.jsonl").read_bytes()


def test_packed_by_tar_itself(run: Path, tmp_path: Path) -> None:
    """With a directory of its own and a leading ./, in two gzip members, and without a suffix."""
    path = tmp_path / "packed.tar"
    subprocess.run(["tar", "-cf", path, "-C", run, "."], check=True)
    raw = path.read_bytes()
    path.write_bytes(gzip.compress(raw[:5000]) + gzip.compress(raw[5000:]))
    assert len(sources.stored(path).run.trials) == 3
    bare = path.rename(tmp_path / "packed")
    assert len(sources.stored(bare).run.trials) == 3


@pytest.mark.parametrize("name", ["../manifest.json", "run/../../manifest.json", "/manifest.json", "..\\manifest.json"])
def test_traversal(tmp_path: Path, name: str) -> None:
    path = tar_of(tmp_path / "a.tar", (info(name), b"{}"))
    assert "leads out" in refused(path, tmp_path / "s")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(name, "{}")
    assert "leads out" in refused(tmp_path / "a.zip", tmp_path / "s")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_no_links_no_devices(tmp_path: Path, kind: bytes) -> None:
    path = tar_of(tmp_path / "a.tar", (info("trials.jsonl", kind, "/etc/passwd"), b""))
    assert "neither a file nor a directory" in refused(path, tmp_path / "s")


def test_no_links_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        link = zipfile.ZipInfo("trials.jsonl")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
    assert "neither a file nor a directory" in refused(tmp_path / "a.zip", tmp_path / "s")


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many bytes, said or unsaid, and too many members; the limit is lowered so that the test is quick."""
    monkeypatch.setattr(archive, "BYTES_MOST", 3 << 20)
    monkeypatch.setattr(archive, "MEMBERS_MOST", 50)
    zeros = bytes(4 << 20)
    for form in ("gz", "xz"):
        path = tar_of(tmp_path / f"a.tar.{form}", (info("trials.jsonl"), zeros), mode=f"w:{form}")
        assert path.stat().st_size < 20000 and "holds more than" in refused(path, tmp_path / "s")
    small = [(info(f"{i}.svg"), b"") for i in range(51)]
    assert "more than 50 members" in refused(tar_of(tmp_path / "b.tar", *small), tmp_path / "s")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("trials.jsonl", zeros)
    assert "holds more than" in refused(tmp_path / "a.zip", tmp_path / "s")
    (tmp_path / "p.tar.gz").write_bytes(gzip.compress(pax_bomb(2 << 20)))  # a header of megabytes, before any member
    assert "description of a member is longer" in refused(tmp_path / "p.tar.gz", tmp_path / "s")


def test_bombs_beside_the_members(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes behind the end of the tar are unpacked, and counted; empty streams hold none, and are counted too."""
    monkeypatch.setattr(archive, "BYTES_MOST", 1 << 20)
    monkeypatch.setattr(archive, "STREAMS_MOST", 500)
    good = tar_of(tmp_path / "a.tar", (info("manifest.json"), (run / "manifest.json").read_bytes())).read_bytes()
    path = tmp_path / "b.tar.gz"
    path.write_bytes(gzip.compress(good + bytes(8 << 20)))
    assert "holds more than" in refused(path, tmp_path / "s")
    path.write_bytes(gzip.compress(good[:512]) + gzip.compress(b"") * 600 + gzip.compress(good[512:]))
    assert "more than 500 compressed streams" in refused(path, tmp_path / "s")
    path.write_bytes(gzip.compress(good[:512]) + gzip.compress(b"") * 300 + gzip.compress(good[512:]))
    (tmp_path / "s2").mkdir()
    archive.unpack(path, tmp_path / "s2")


def test_a_zip_whose_memory_has_no_bound(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("manifest.json", b"{}")
    assert "method that is not read" in refused(tmp_path / "a.zip", tmp_path / "s")


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.xz"])
def test_an_archive_that_is_damaged_does_not_end_sooner(run: Path, tmp_path: Path, form: str) -> None:
    """Each of its headers, the end that is cut off, and the check sum of what is compressed."""
    whole = tmp_path / "whole.tar"
    with tarfile.open(whole, "w") as packed:
        for name in archive.FILES:
            packed.add(run / name, name)
        starts = [member.offset for member in packed.getmembers()]
    content = whole.read_bytes()
    pack = {"tar": bytes, "tar.gz": gzip.compress, "tar.xz": lzma.compress}[form]
    end = len(content.rstrip(b"\0"))
    damages = [content[: at + 5] + b"\xff" + content[at + 6:] for at in starts]
    damages += [content[:at] for at in (*starts[1:], end, end - end % 512 + 512)]
    for damage in damages:
        (tmp_path / f"d.{form}").write_bytes(pack(damage))
        assert "broken" in (told := refused(tmp_path / f"d.{form}", tmp_path / "s")) or "neither" in told
        for left in (tmp_path / "s").iterdir():
            left.unlink()
    if form != "tar":
        packed_whole = pack(content)
        (tmp_path / f"e.{form}").write_bytes(packed_whole[:-6] + b"\x55" + packed_whole[-5:])
        assert "broken" in refused(tmp_path / f"e.{form}", tmp_path / "s")


def pax_bomb(size: int) -> bytes:
    """A header of that many bytes."""
    fields = {"name": "h", "mode": 0o644, "uid": 0, "gid": 0, "size": size, "mtime": 0, "type": tarfile.XHDTYPE,
              "linkname": "", "uname": "", "gname": "", "devmajor": 0, "devminor": 0, "prefix": "", "chksum": 0}
    return tarfile.TarInfo("h").create_ustar_header(fields, "ascii", "strict") + bytes(size)


def test_a_zip_that_lies(tmp_path: Path) -> None:
    """A member that is longer than the archive says, or is not what its checksum says, or is encrypted."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("manifest.json", b"x" * 5000)
    raw = path.read_bytes()
    path.write_bytes(raw.replace((5000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    assert "broken" in refused(path, tmp_path / "s")
    path.write_bytes(raw.replace(raw[14:18], b"\1\2\3\4"))
    (tmp_path / "s" / "manifest.json").unlink(missing_ok=True)
    assert "broken" in refused(path, tmp_path / "s")
    at = raw.index(b"PK\1\2")
    (tmp_path / "s" / "manifest.json").unlink(missing_ok=True)
    path.write_bytes(raw[:6] + b"\1" + raw[7 : at + 8] + b"\1" + raw[at + 9 :])
    assert "broken" in refused(path, tmp_path / "s")


def test_what_is_no_run(run: Path, tmp_path: Path) -> None:
    manifest = (run / "manifest.json").read_bytes()
    two = tar_of(tmp_path / "two.tar", (info("a/manifest.json"), manifest), (info("b/manifest.json"), manifest))
    assert "more than one run" in refused(two, tmp_path / "s")
    assert "no run" in refused(tar_of(tmp_path / "none.tar", (info("README"), b"hello")), tmp_path / "s0")
    for name, content, why in (
        ("text", b"hello", "neither a run"),
        ("empty", b"", "neither a run"),
        ("cut.tar.gz", gzip.compress(two.read_bytes())[:400], "broken"),
        ("cut.tar.xz", lzma.compress(bytes(range(256)) * 999)[:60], "broken"),
        ("garbage.zip", b"PK\3\4" + b"\xff" * 99, "broken"),
        ("garbage.tar.gz", b"\x1f\x8b" + b"\xff" * 99, "broken"),
        ("bare.gz", gzip.compress(b"hello" * 500), "broken"),
    ):
        (tmp_path / name).write_bytes(content)
        assert why in refused(tmp_path / name, tmp_path / "s1")
    with pytest.raises(RecordsError, match="no such run"):
        sources.stored(tmp_path / "absent.tar")


def test_a_broken_run_in_an_archive_is_named_by_the_archive(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", (info("manifest.json"), b"{}"))
    with pytest.raises(RecordsError, match=f"^{path}/manifest.json: expected schema"):
        sources.stored(path)
