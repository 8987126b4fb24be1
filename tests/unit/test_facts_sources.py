"""A network from a folder, an archive and stored files: the same facts; and archives that must be refused."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from netlab.errors import FactsError
from netlab.facts import reader
from netlab.facts.sources import archive, stored
from netlab.facts.sources.archive import read_archive
from netlab.facts.sources.files import Unreadable
from netlab.facts.sources.folder import NetworkFolder

CAMPUS = Path(__file__).parents[2] / "networks" / "campus"

Member = tuple[str, bytes | None]
"""(name, content); None for a symbolic link."""
ADDR = b'[{"ifname": "lo", "flags": ["UP"]}]'


def packed(members: list[Member], *, zipped: bool = False) -> io.BytesIO:
    """Return an archive of the members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz" if zipped else "w") as made:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            made.addfile(info, io.BytesIO(content or b""))
    out.seek(0)
    return out


def campus(prefix: str, *, zipped: bool = False) -> io.BytesIO:
    """Return the sample network as an archive, with all paths below `prefix`."""
    found = sorted(path for path in CAMPUS.rglob("*") if path.is_file())
    return packed([(f"{prefix}{path.relative_to(CAMPUS)}", path.read_bytes()) for path in found], zipped=zipped)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("prefix", ["", "./", "campus/", "./backup/2026/campus/"])
def test_an_archive_has_the_facts_of_its_folder(prefix: str, zipped: bool) -> None:
    found = reader.read(read_archive(campus(prefix, zipped=zipped)), "campus", shown="x.tar")
    assert found == reader.load(CAMPUS)


def test_what_is_stored_has_the_same_facts_and_warnings(tmp_path: Path) -> None:
    """Also when it is written into a folder again: the name of a file that is not read is kept for its warning."""
    shutil.copytree(CAMPUS, tmp_path / "campus")
    router = min(path for path in (tmp_path / "campus").iterdir() if not (path / "nft.rules").exists())
    (router / "nftables.conf").write_text("table ip x {}")
    source = NetworkFolder(tmp_path / "campus")
    taken = reader.capture(source, "campus", shown="campus")
    source.close()
    assert any("nftables.conf" in str(warning) for warning in taken.facts.warnings)
    assert f"{router.name}/nftables.conf" in taken.others
    again = reader.read(stored.StoredFiles(taken.contents, taken.others), "campus", shown="stored")
    assert again == taken.facts
    stored.write(tmp_path / "written", taken.contents, taken.others)
    assert reader.load(tmp_path / "written").routers == taken.facts.routers
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "no draft is left"


def test_a_file_is_identified_by_kind_and_meaning(tmp_path: Path) -> None:
    """Counters do not matter; the same text in another kind of file is another file."""
    taken = []
    for name, counter in (("a", "[0:0]"), ("b", "[17:2000]")):
        folder = tmp_path / name / "r1"
        folder.mkdir(parents=True)
        (folder / "addr.json").write_bytes(ADDR)
        (folder / "routes.json").write_text("[]")
        (folder / "iptables.rules").write_text(f"*filter\n:FORWARD DROP {counter}\nCOMMIT\n")
        (folder / "nft.rules").write_text("")
        (folder / "ipset.rules").write_text("")
        source = NetworkFolder(tmp_path / name)
        taken.append(reader.capture(source, "n", shown="n"))
        source.close()
    assert taken[0].meanings == taken[1].meanings
    assert taken[0].contents != taken[1].contents
    assert len(set(taken[0].meanings.values())) == 5
    assert taken[0].meanings.keys() == taken[0].contents.keys()


REFUSED: dict[str, tuple[list[Member], str]] = {
    "path that leaves": ([("../r1/addr.json", ADDR)], "paths must be relative"),
    "absolute path": ([("/r1/addr.json", ADDR)], "paths must be relative"),
    "control character": ([("r1/\x1b[2Jaddr.json", ADDR)], "paths must be relative"),
    "no router": ([("hosts.yaml", b""), ("readme", b"x")], "has no ROUTER/addr.json"),
    "files at the top": ([("addr.json", ADDR)], "has no ROUTER/addr.json"),
    "two networks": ([("a/r1/addr.json", ADDR), ("b/r1/addr.json", ADDR)], "in several places: a and b"),
    "file twice": ([("r1/addr.json", ADDR), ("./r1/addr.json", b"[]")], "has r1/addr.json twice"),
    "nothing": ([], "has no ROUTER/addr.json"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_archive_that_is_not_one_network_is_refused(case: str) -> None:
    members, why = REFUSED[case]
    with pytest.raises(Unreadable, match=why.replace(".", r"\.")):
        read_archive(packed(members))


def test_a_link_in_an_archive_is_refused_with_its_path() -> None:
    source = read_archive(packed([("r1/addr.json", ADDR), ("r1/routes.json", None)]))
    with pytest.raises(FactsError, match=r"r1/routes\.json: is a link or a special file in the archive"):
        reader.read(source, "n", shown="x.tar")


@pytest.mark.parametrize("zipped", [False, True])
def test_an_archive_that_was_cut_off_is_refused(zipped: bool) -> None:
    """At every block of the archive: a router that is missing at the end must not go unnoticed."""
    whole = packed([(f"r{n}/{file}", ADDR) for n in (1, 2) for file in ("addr.json", "routes.json")], zipped=zipped)
    data = whole.getvalue()
    end = len(data) if zipped else len(data.rstrip(b"\0"))
    for cut in range(2, end, 7) if zipped else range(512, end, 512):
        with pytest.raises(Unreadable, match="is not a complete tar"):
            read_archive(io.BytesIO(data[:cut]))


@pytest.mark.parametrize("data", [b"", b"hello", b"\x1f\x8b", b"PK\x03\x04zip", os.urandom(4096)])
def test_what_is_not_an_archive_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_archive(io.BytesIO(data))


def test_a_small_archive_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a file, nor by many, nor by a header that asks for a large name."""
    monkeypatch.setattr(archive, "MAX_NETWORK_BYTES", 1 << 20)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 100)
    large = packed([("r1/addr.json", b"[" + b" " * (2 << 20) + b"]")], zipped=True)
    assert len(large.getvalue()) < 10_000
    with pytest.raises(Unreadable, match=r"unpacks to more than|exceed"):
        read_archive(large)
    with pytest.raises(Unreadable, match="more than 100 files"):
        read_archive(packed([(f"r1/{n}", b"") for n in range(101)]))
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    with pytest.raises(Unreadable):
        read_archive(io.BytesIO(header.tobuf() + b"a" * (3 << 20)))


def test_what_is_beside_the_network_is_left_out() -> None:
    source = read_archive(
        packed(
            [
                ("net/r1/addr.json", ADDR),
                ("net/r1/notes.txt", b"x"),
                ("net/r1/old/addr.json.bak", b"x"),
                ("net/.git/config", b"x"),
                ("net/.r2/routes.json", b"[]"),
                ("net/hosts.yaml", b""),
                ("README", b"x"),
            ]
        )
    )
    assert source.routers() == ["r1"]
    assert sorted(source.files("r1")) == ["addr.json", "notes.txt"]
    assert source.read(".", "hosts.yaml") == b""


def test_gzip_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(campus("", zipped=True).getvalue())
    data[-6] ^= 1
    with pytest.raises(Unreadable, match="is not a complete tar"):
        read_archive(io.BytesIO(bytes(data)))
    assert gzip.decompress(campus("", zipped=True).getvalue())


@pytest.mark.parametrize("path", ["../x", "r1/../../x", "/etc/x", "r1//x", "./x", "r1/."])
def test_no_file_is_written_outside_the_folder(tmp_path: Path, path: str) -> None:
    inside = tmp_path / "a" / "b"
    inside.parent.mkdir()
    for contents, others in (({path: b"x"}, []), ({}, [path])):
        with pytest.raises(Unreadable, match="has the path"):
            stored.write(inside, contents, others)
    assert [str(found) for found in tmp_path.rglob("x")] == []


def test_a_folder_that_exists_is_kept(tmp_path: Path) -> None:
    stored.write(tmp_path / "net", {"r1/addr.json": b"1"}, [])
    stored.write(tmp_path / "net", {"r1/addr.json": b"2"}, [])
    assert (tmp_path / "net" / "r1" / "addr.json").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
