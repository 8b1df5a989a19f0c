"""The directory of the development CA: where it is, who may read it, how it is written.

Owns permissions, the lock and atomic writing. Knows nothing of certificates. Refuses a directory
that is not this user's: whoever owns it could read the keys. Called by `development` and `exports`.

Rules:

1. A file is complete or not there: it is written under another name, synced and renamed.
2. A key is never readable by others, not even for a moment: it is created with its permissions.
3. Whoever changes the directory holds its lock. The lock belongs to an open file, so it ends with
   the process, however that ends.
"""

import contextlib
import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from httpkit.errors import ConfigurationError

__all__ = ["data_directory", "locked", "write_file"]


def data_directory(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Where the development CA of this user is kept.

    `$XDG_DATA_HOME/httpkit/certificates`, by default below `~/.local/share`
    (XDG Base Directory Specification), on macOS below `~/Library/Application Support`.

    Raises:
        ConfigurationError: this user has no home directory.
    """
    base = environ.get("XDG_DATA_HOME", "")
    # A relative path is to be ignored, says the specification.
    if not os.path.isabs(base):
        below = "Library/Application Support" if platform == "darwin" else ".local/share"
        base = os.path.join(os.path.expanduser("~"), below)
    if not os.path.isabs(base):
        raise ConfigurationError(
            "there is no home directory to keep a development CA in: set XDG_DATA_HOME"
        )
    return Path(base, "httpkit", "certificates")


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Create the directory if it is missing, and hold its lock; waits for whoever holds it.

    Raises:
        ConfigurationError: it cannot be created, or belongs to somebody else.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid != os.geteuid():
            raise ConfigurationError(f"{directory} belongs to another user")
        directory.chmod(0o700)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{directory}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def write_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file at once; it replaces an older one.

    Args:
        path: in a directory that exists.
        data: all of it.
        private: readable for this user only, otherwise for everybody.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        # mkstemp creates with 0600, and follows no link.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(descriptor, 0o600 if private else 0o644)
                os.fsync(descriptor)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
