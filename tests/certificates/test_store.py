"""The directory of the CA: where it is, who may read it, what is left when writing fails."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from httpkit.certificates import store
from httpkit.certificates.store import data_directory, locked, write_file
from httpkit.errors import ConfigurationError


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"XDG_DATA_HOME": "/data"}, "linux", "/data/httpkit/certificates"),
        ({"XDG_DATA_HOME": "/data"}, "darwin", "/data/httpkit/certificates"),
        ({}, "linux", "/home/ada/.local/share/httpkit/certificates"),
        ({"XDG_DATA_HOME": ""}, "linux", "/home/ada/.local/share/httpkit/certificates"),
        ({"XDG_DATA_HOME": "relative"}, "linux", "/home/ada/.local/share/httpkit/certificates"),
        ({}, "darwin", "/home/ada/Library/Application Support/httpkit/certificates"),
    ],
)
def test_the_directory_of_this_user(
    environ: dict[str, str], platform: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert data_directory(environ, platform) == Path(expected)


def test_without_a_home_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.os.path, "expanduser", lambda path: path)
    with pytest.raises(ConfigurationError, match="set XDG_DATA_HOME"):
        data_directory({}, "linux")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directory_is_this_users_alone(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    with locked(directory):
        assert mode(directory) == 0o700
    directory.chmod(0o755)
    with locked(directory):
        assert mode(directory) == 0o700


def test_a_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigurationError, match="belongs to another user"), locked(tmp_path):
        pass


def test_a_file_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigurationError, match="Not a directory"),
        locked(tmp_path / "file" / "x"),
    ):
        pass


@pytest.mark.parametrize(("private", "expected"), [(True, 0o600), (False, 0o644)])
def test_permissions_whatever_the_umask(tmp_path: Path, private: bool, expected: int) -> None:
    before = os.umask(0)
    try:
        write_file(tmp_path / "file", b"data", private=private)
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == expected
    assert (tmp_path / "file").read_bytes() == b"data"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write_file(tmp_path / "file", b"old")
    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(ConfigurationError, match="file: No space left on device"):
        write_file(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("untouched")
    (tmp_path / "file").symlink_to(tmp_path / "target")
    write_file(tmp_path / "file", b"key", private=True)
    assert (tmp_path / "target").read_text() == "untouched"
    assert not (tmp_path / "file").is_symlink()


def count(directory: Path, rounds: int) -> None:
    for _ in range(rounds):
        with locked(directory):
            path = directory / "count"
            before = int(path.read_text()) if path.exists() else 0
            write_file(path, str(before + 1).encode())


def test_the_lock_keeps_processes_apart(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=count, args=(tmp_path, 25)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "75"
