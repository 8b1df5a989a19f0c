"""Logs, banner and errors: plain text unless somebody looks at it."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from types import SimpleNamespace
from typing import Any

import pytest

from httpkit import __version__
from httpkit.cli import terminal
from httpkit.types import Address


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[io.StringIO, Terminal], ids=["file", "terminal"])
def stderr(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """To be put in place inside the test: pytest's own capturing replaces it before."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream: io.StringIO = request.param()
    return stream


@contextmanager
def fresh_logger(level: int = logging.INFO) -> Iterator[logging.Logger]:
    """The logger as it is in a fresh process, put back afterwards.

    Inside the test, not as a fixture: pytest adds handlers of its own in between.
    """
    logger = logging.getLogger("httpkit")
    handlers, kept_level, propagate = list(logger.handlers), logger.level, logger.propagate
    logger.handlers[:] = []
    logger.setLevel(level)
    try:
        yield logger
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(kept_level)
        logger.propagate = propagate


def server(*addresses: Address, scheme: str = "http") -> Any:
    """What the banner asks of a server."""
    return SimpleNamespace(
        addresses=list(addresses),
        schemes=[scheme] * len(addresses),
        engines={"HTTP/1.1": "native", "HTTP/2": "native"},
        loop=object(),
        debug=False,
    )


def show(*addresses: Address, scheme: str = "http") -> None:
    terminal.show_banner(server(*addresses, scheme=scheme))


def test_banner(stderr: io.StringIO) -> None:
    with fresh_logger(), redirect_stderr(stderr):
        show(Address("127.0.0.1", 8000), Address("::1", 8000))
    text = stderr.getvalue()
    assert f"httpkit {__version__}" in text
    assert "HTTP/1.1 (native)" in text
    assert "http://127.0.0.1:8000" in text
    assert "http://[::1]:8000" in text
    assert text.count("\n") == 3
    assert ("\x1b[" in text) == stderr.isatty()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (Address("0.0.0.0", 80), "http://127.0.0.1:80  (all addresses)"),
        (Address("::", 80), "http://localhost:80  (all addresses)"),
        (
            Address("/run/x.sock", 0),
            "unix:/run/x.sock  (curl --unix-socket /run/x.sock http://localhost/)",
        ),
    ],
)
def test_addresses_that_cannot_be_opened_as_they_are(address: Address, shown: str) -> None:
    with fresh_logger(), redirect_stderr(io.StringIO()) as stream:
        show(address)
    assert stream.getvalue().endswith(f"  {shown}\n")


def test_addresses_that_speak_tls() -> None:
    with fresh_logger(), redirect_stderr(io.StringIO()) as stream:
        show(Address("::1", 443), Address("/run/x.sock", 0), scheme="https")
    assert stream.getvalue().splitlines()[1:] == [
        "  https://[::1]:443",
        "  unix:/run/x.sock  (curl --unix-socket /run/x.sock https://localhost/)",
    ]


def test_no_banner_above_info(stderr: io.StringIO) -> None:
    with fresh_logger(logging.WARNING), redirect_stderr(stderr):
        show(Address("127.0.0.1", 8000))
    assert stderr.getvalue() == ""


def test_log_lines(stderr: io.StringIO) -> None:
    with fresh_logger() as logger, redirect_stderr(stderr):
        terminal.configure_logging("info")
        logger.debug("hidden")
        logger.info("shown")
        logger.warning("minded")
    info, warning = stderr.getvalue().splitlines()
    assert info.endswith(" INFO    shown")
    assert len(info.split(" ")[0]) == len("2026-01-01")
    assert "minded" in warning
    assert ("\x1b[33mWARNING" in warning) == stderr.isatty()


def test_tracebacks_follow_their_line(stderr: io.StringIO) -> None:
    with fresh_logger() as logger, redirect_stderr(stderr):
        terminal.configure_logging("info")
        logger.error("broken", exc_info=ValueError("x"))
    assert stderr.getvalue().endswith("broken\nValueError: x\n")


def test_the_root_logger_is_left_alone() -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    with fresh_logger() as logger:
        terminal.configure_logging("debug")
        assert (list(root.handlers), root.level) == before
        assert not logger.propagate


def test_a_handler_of_the_user_is_kept() -> None:
    own = logging.NullHandler()
    with fresh_logger() as logger:
        logger.addHandler(own)
        logger.propagate = True
        terminal.configure_logging("error")
        assert logger.handlers == [own]
        assert logger.propagate
        assert logger.level == logging.ERROR


def test_errors(stderr: io.StringIO) -> None:
    with redirect_stderr(stderr), pytest.raises(SystemExit) as caught:
        terminal.exit_with_error("that will not do")
    assert caught.value.code == 1
    text = stderr.getvalue()
    assert "that will not do\n" in text
    assert ("\x1b[" in text) == stderr.isatty()


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with redirect_stderr(Terminal()) as stream, pytest.raises(SystemExit):
        terminal.exit_with_error("plain")
    assert stream.getvalue() == "httpkit: error: plain\n"
