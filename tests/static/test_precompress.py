"""Compressed siblings: which files get them, that they are right, and what may go wrong."""

import gzip
import os
import threading

import brotli
import pytest
import zstandard

from httpkit import ConfigurationError
from httpkit.static import precompress as module
from httpkit.static.precompress import (
    SUFFIXES,
    Outcome,
    Source,
    find_sources,
    precompress,
    remove_siblings,
)

TEXT = b"The quick brown fox jumps over the lazy dog.\n" * 500
DECODERS = {
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "gzip": gzip.decompress,
}
CODINGS = list(SUFFIXES)


@pytest.fixture
def site(tmp_path):
    """A file that is worth it, and others that are not."""
    (tmp_path / "app.js").write_bytes(TEXT)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "page.html").write_bytes(TEXT * 20)
    (tmp_path / "tiny.css").write_bytes(b"a{}")
    (tmp_path / "photo.png").write_bytes(TEXT)
    (tmp_path / "data.tar.gz").write_bytes(TEXT)
    (tmp_path / ".hidden.js").write_bytes(TEXT)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "description.txt").write_bytes(TEXT)
    (tmp_path / "link.js").symlink_to("app.js")
    os.mkfifo(tmp_path / "pipe.txt")
    return tmp_path


def names(directory) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def outcomes(results) -> list[Outcome]:
    return [result.outcome for result in results]


def make(directory, codings=CODINGS, **options):
    return precompress(find_sources(str(directory)), codings, **options)


def test_which_files(site):
    found = [os.path.relpath(source.path, site) for source in find_sources(str(site))]
    assert found == ["app.js", "sub/page.html"]
    assert os.path.join(str(site), "tiny.css") in {s.path for s in find_sources(str(site), 0)}


@pytest.mark.parametrize("jobs", [1, 4])
def test_siblings_are_right(site, jobs):
    os.chmod(site / "app.js", 0o640)
    os.utime(site / "app.js", ns=(1, 1_700_000_000_123_456_789))
    before = names(site)
    done = []
    results = make(site, jobs=jobs, done=done.append)
    assert outcomes(results) == [Outcome.WRITTEN] * 6
    assert sorted(done) == sorted(results)
    assert [r.coding for r in results] == CODINGS * 2
    for source in ("app.js", "sub/page.html"):
        original = os.stat(site / source)
        for coding, suffix in SUFFIXES.items():
            sibling = site / (source + suffix)
            assert DECODERS[coding](sibling.read_bytes()) == (site / source).read_bytes()
            assert os.stat(sibling).st_mtime_ns == original.st_mtime_ns
            assert os.stat(sibling).st_mode == original.st_mode
            assert os.stat(sibling).st_size < original.st_size
    made = {s + suffix for s in ("app.js", "sub/page.html") for suffix in SUFFIXES.values()}
    assert names(site) == before | made, "no temporary file is left"


def test_the_same_content_has_the_same_bytes(site):
    make(site)
    first = (site / "app.js.gz").read_bytes()
    os.utime(site / "app.js", (5, 5))
    make(site)
    assert (site / "app.js.gz").read_bytes() == first


def test_what_is_up_to_date_is_left_alone(site):
    make(site)
    inode = os.stat(site / "app.js.br").st_ino
    assert outcomes(make(site)) == [Outcome.CURRENT] * 6
    assert os.stat(site / "app.js.br").st_ino == inode
    assert outcomes(make(site, force=True)) == [Outcome.WRITTEN] * 6
    assert os.stat(site / "app.js.br").st_ino != inode


@pytest.mark.parametrize("seconds", [-100, 100])
def test_a_file_that_has_another_time(site, seconds):
    """An older one, too: that is what a deployment of the previous release leaves."""
    make(site)
    content = TEXT.replace(b"fox", b"cat")
    modified = os.stat(site / "app.js").st_mtime + seconds
    (site / "app.js").write_bytes(content)
    os.utime(site / "app.js", (modified, modified))
    assert outcomes(make(site, ["gzip"])) == [Outcome.WRITTEN, Outcome.CURRENT]
    assert gzip.decompress((site / "app.js.gz").read_bytes()) == content


def test_what_does_not_shrink_has_no_sibling(site):
    make(site)
    (site / "app.js").write_bytes(os.urandom(5000))
    os.utime(site / "app.js", (7, 7))
    results = make(site)
    assert outcomes(results) == [Outcome.NOT_SMALLER] * 3 + [Outcome.CURRENT] * 3
    assert results[0].size == 5000
    assert {name for name in names(site) if name.startswith("app.js")} == {"app.js"}


@pytest.mark.parametrize("content", [b"small", b""])
def test_a_file_that_has_become_small_keeps_nothing_of_another_content(site, content):
    """A server would take what is left of a newer release for the older file."""
    make(site)
    (site / "app.js").write_bytes(content)
    os.utime(site / "app.js", (7, 7))
    assert outcomes(make(site, check=True)) == [Outcome.WRITTEN] * 3 + [Outcome.CURRENT] * 3
    assert outcomes(make(site)) == [Outcome.NOT_SMALLER] * 3 + [Outcome.CURRENT] * 3
    assert {name for name in names(site) if name.startswith("app.js")} == {"app.js"}


@pytest.mark.parametrize("force", [False, True])
def test_siblings_of_a_small_file_that_are_its_own_stay(site, force):
    sibling = site / "tiny.css.gz"
    sibling.write_bytes(b"somebody's")
    modified = os.stat(site / "tiny.css").st_mtime_ns
    os.utime(sibling, ns=(modified, modified))
    made = {result.source.path: result.outcome for result in make(site, ["gzip"], force=force)}
    assert made[str(site / "tiny.css")] is Outcome.CURRENT
    assert sibling.read_bytes() == b"somebody's"


def test_check_writes_nothing(site):
    before = names(site)
    results = make(site, check=True)
    assert outcomes(results) == [Outcome.WRITTEN] * 6
    assert names(site) == before
    make(site)
    (site / "app.js").write_bytes(os.urandom(5000))
    assert outcomes(make(site, ["gzip"], check=True)) == [Outcome.WRITTEN, Outcome.CURRENT]
    assert (site / "app.js.gz").exists(), "not even what should not be there is removed"
    (site / "app.js.gz").unlink()
    assert outcomes(make(site, ["gzip"], check=True)) == [Outcome.NOT_SMALLER, Outcome.CURRENT]


def test_a_directory_in_the_way(site):
    (site / "app.js.gz").mkdir()
    failed, written = make(site, ["gzip"])
    assert (failed.outcome, written.outcome) == (Outcome.FAILED, Outcome.WRITTEN)
    assert failed.problem == f"{site / 'app.js.gz'}: Is a directory"
    assert not [name for name in names(site) if name.endswith(".tmp")]


def test_a_file_that_is_gone_or_shorter(site):
    first, second = find_sources(str(site))
    os.unlink(first.path)
    with open(second.path, "r+b") as file:
        file.truncate(10)
    results = precompress([first, second], ["zstd"])
    assert [result.problem for result in results] == [
        f"{first.path}: No such file or directory",
        f"{second.path}: it has become shorter meanwhile: try again",
    ]
    assert not [name for name in names(site) if name.endswith((".zst", ".tmp"))]


def test_a_file_that_grows_shows_at_the_next_look(site):
    source = find_sources(str(site))[0]
    with open(source.path, "ab") as file:
        file.write(b"more")
    os.utime(source.path, (9, 9))
    assert outcomes(precompress([source], ["gzip"])) == [Outcome.WRITTEN]
    assert outcomes(make(site, ["gzip"], check=True))[0] is Outcome.WRITTEN


def test_an_interruption_ends_what_runs(site, monkeypatch):
    """Ctrl-C: nothing half made stays, and nothing more is begun."""
    monkeypatch.setattr(module, "_STEP", 64)
    begun = threading.Event()
    pause = threading.Event()
    encode = module.make_encoder

    def slow(coding, size, *, best):
        if begun.is_set():
            pause.wait(20)
        begun.set()
        return encode(coding, size, best=best)

    monkeypatch.setattr(module, "make_encoder", slow)

    def interrupt(result) -> None:
        threading.Timer(0.01, pause.set).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(site, jobs=1, done=interrupt)
    assert len([name for name in names(site) if name.endswith((".br", ".zst", ".gz"))]) == 2
    assert not [name for name in names(site) if name.endswith(".tmp")]


def test_removal_takes_what_was_made_here(site):
    make(site)
    (site / "app.js.gz").write_bytes(b"somebody else's")
    sources = find_sources(str(site))
    removed = remove_siblings(sources, CODINGS)
    assert len(removed) == 5
    left = {name for name in names(site) if name.endswith((".br", ".zst", ".gz"))}
    assert left == {"app.js.gz", "data.tar.gz"}
    assert remove_siblings(sources, CODINGS) == []


def test_directories_that_cannot_be_read(site, monkeypatch):
    with pytest.raises(ConfigurationError, match="there is no directory"):
        find_sources(str(site / "absent"))
    with pytest.raises(ConfigurationError, match="is a file, not a directory"):
        find_sources(str(site / "app.js"))
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ConfigurationError, match=r"sub cannot be read: Permission denied"):
        find_sources(str(site))


def test_where_siblings_are():
    assert Source("a/b.js", 1, 1, 0o644).sibling("zstd") == "a/b.js.zst"
