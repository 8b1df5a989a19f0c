"""What counts as a change, and that changes which come together are one."""

import asyncio
import os
import pwd
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from httpkit.server import watch as watch_module
from httpkit.server.config import Config
from httpkit.server.watch import Selection, poll, watch

INCLUDE, EXCLUDE = Config().reload_include, Config().reload_exclude


@pytest.fixture
def selection(tmp_path: Path) -> Selection:
    return Selection([str(tmp_path)], INCLUDE, EXCLUDE)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("main.py", True),
        ("package/module.py", True),
        ("main.pyc", False),
        ("notes.txt", False),
        (".hidden.py", False),
        (".venv/lib/site.py", False),
        ("package/__pycache__/module.py", False),
        ("node_modules/x.py", False),
        ("venv/x.py", False),
    ],
)
def test_what_counts(selection: Selection, tmp_path: Path, name: str, counts: bool) -> None:
    path = Path(os.path.realpath(tmp_path), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert selection.has(str(path)) == counts
    assert (str(path) in selection.take_snapshot()) == counts


def test_what_is_elsewhere_does_not(selection: Selection) -> None:
    assert not selection.has("/elsewhere/main.py")


def test_a_hidden_directory_may_be_watched_itself(tmp_path: Path) -> None:
    hidden = tmp_path / ".hidden"
    hidden.mkdir()
    (hidden / "main.py").touch()
    chosen = Selection([str(hidden)], INCLUDE, EXCLUDE)
    assert chosen.has(os.path.realpath(hidden / "main.py"))
    assert len(chosen.take_snapshot()) == 1


def test_what_vanishes_while_it_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nowhere")
    chosen = Selection([str(tmp_path), str(tmp_path / "gone")], INCLUDE, EXCLUDE)
    assert chosen.take_snapshot() == {}


def test_directories_behind_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "main.py").touch()
    assert len(Selection([str(tmp_path)], INCLUDE, EXCLUDE).take_snapshot()) == 1


def test_polling(selection: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing, removing and adding count; several looks with changes are one set."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py"):
        (tmp_path / name).touch()
    steps = iter(
        [
            lambda: None,
            lambda: (tmp_path / "a.py").write_text("a = 1"),
            (tmp_path / "b.py").unlink,
            (tmp_path / "c.py").touch,
            lambda: None,
        ]
    )

    async def sleep(seconds: float) -> None:
        assert seconds == 0.5
        next(steps)()

    async def main() -> Any:
        return await anext(poll(selection, sleep))

    assert asyncio.run(main()) == {"a.py", "b.py", "c.py"}
    assert next(steps, None) is None


def test_too_many_files(
    selection: Selection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch_module, "_MAX_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.py").touch()

    class Enough(Exception):
        pass

    async def sleep(seconds: float) -> None:
        raise Enough

    with pytest.raises(Enough):
        asyncio.run(anext(poll(selection, sleep)))  # type: ignore[arg-type]
    assert "only the first 2 files are watched" in caplog.text


@pytest.mark.parametrize("installed", [True, False])
def test_a_real_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    if not installed:
        monkeypatch.setattr(watch_module, "watchfiles", None)
        monkeypatch.setattr(watch_module, "_INTERVAL", 0.01)
    target = tmp_path / "main.py"

    async def write() -> None:
        number = 0
        while True:  # the watcher may not be there yet
            number += 1
            target.write_text("#" * number)
            (tmp_path / "notes.txt").write_text("#" * number)
            await asyncio.sleep(0.2)

    async def main() -> set[str]:
        changes = watch([str(tmp_path)], INCLUDE, EXCLUDE)
        writing = asyncio.create_task(write())
        try:
            return await anext(changes)
        finally:
            writing.cancel()
            await changes.aclose()  # type: ignore[attr-defined]

    assert asyncio.run(main()) == {os.path.realpath(target)}


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("way", ["removed", "renamed"])
def test_a_directory_that_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool, way: str
) -> None:
    """As builds do: what happens in the new one is seen, too."""
    monkeypatch.setattr(watch_module, "_INTERVAL", 0.01)
    if not installed:
        monkeypatch.setattr(watch_module, "watchfiles", None)
    output = tmp_path / "dist"
    output.mkdir()
    place = os.path.realpath(output)
    number = 0

    async def write(name: str) -> None:
        nonlocal number
        while True:  # the watcher may not be there yet
            number += 1
            (output / name).write_text("#" * number)
            await asyncio.sleep(0.2)

    async def wait_for(changes: AsyncIterator[set[str]], name: str) -> None:
        writing = asyncio.create_task(write(name))
        async for paths in changes:
            if f"{place}/{name}" in paths:
                break
        writing.cancel()

    async def main() -> None:
        changes = watch([str(output)], ["*"], [])
        await wait_for(changes, "first")
        if way == "removed":
            shutil.rmtree(output)
        else:
            output.rename(tmp_path / "old")
        output.mkdir()
        await wait_for(changes, "second")
        await changes.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())


@contextmanager
def as_ordinary_user(place: Path) -> Iterator[None]:
    """Whoever runs the tests, without the right to read everything; `place` is that user's."""
    if os.geteuid() != 0:
        yield
        return
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(place, nobody, -1)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("installed", [True, False])
def test_a_directory_that_nobody_may_read_hides_no_change(
    monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    # Not in `tmp_path`, which is below directories of one user alone.
    with TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "database").mkdir(mode=0)
        with as_ordinary_user(place):
            assert not os.access(place / "database", os.R_OK, effective_ids=True)
            test_a_real_change(place, monkeypatch, installed)
