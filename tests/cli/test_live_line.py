"""The live line: what stands in it, and that nothing else on the terminal tangles with it."""

import io
import os
import threading
from typing import Any

import pytest

from httpkit.cli import live_line as module
from httpkit.cli.live_line import LiveLine, Reading, StatusLine, describe, is_live

from .test_cli_terminal import Terminal


class Screen:
    """A terminal of one column of lines: text, line feeds, and the erasure of the last line."""

    def __init__(self, written: str) -> None:
        self.lines = [""]
        for piece in written.replace("\x1b[2m", "").replace("\x1b[0m", "").split("\r\x1b[2K"):
            self.lines[-1] = "" if piece is not written else self.lines[-1]
            first, *more = piece.split("\n")
            self.lines[-1] += first
            self.lines += more


def screen(terminal: Terminal) -> list[str]:
    return Screen(terminal.getvalue()).lines


class Clock:
    def __init__(self) -> None:
        self.now = 10.0

    def __call__(self) -> float:
        return self.now


# --- one line ------------------------------------------------------------------------------------


def test_a_text_takes_the_place_of_the_last_one() -> None:
    terminal = Terminal()
    line = StatusLine(terminal)
    line.show("one")
    line.show("two")
    assert screen(terminal) == ["two"]
    line.show("")
    assert screen(terminal) == [""]
    line.show("")
    assert terminal.getvalue().endswith("\x1b[2K"), "nothing to erase, nothing written"


def test_what_others_write_stands_above() -> None:
    terminal = Terminal()
    line = StatusLine(terminal)
    line.show("live")
    assert line.write(terminal, "first\n") == 6
    line.write(terminal, "second\nthird\n")
    assert screen(terminal) == ["first", "second", "third", "live"]
    line.show("later")
    assert screen(terminal)[-1] == "later"


def test_a_line_in_pieces_is_not_cut() -> None:
    terminal = Terminal()
    line = StatusLine(terminal)
    line.show("live")
    for piece in ("a", "", "b"):
        line.write(terminal, piece)
        line.show("later")
        assert "live" not in screen(terminal)[-1]
    assert screen(terminal) == ["ab"]
    line.write(terminal, "c\n")
    assert screen(terminal) == ["abc", "later"]


def test_without_a_line_nothing_is_added() -> None:
    terminal = Terminal()
    StatusLine(terminal).write(terminal, "text\n")
    assert terminal.getvalue() == "text\n"


@pytest.mark.parametrize("no_color", [False, True])
def test_colors(monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    monkeypatch.setenv("NO_COLOR", "1" if no_color else "")
    terminal = Terminal()
    StatusLine(terminal).show("live")
    assert ("\x1b[2m" in terminal.getvalue()) is not no_color


def test_it_is_never_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    line = StatusLine(terminal)
    line.show("x" * 200)
    assert screen(terminal) == ["x" * 79], "80 columns where nobody knows"
    terminal.fileno = lambda: 1  # type: ignore[method-assign]
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((20, 5)))
    line.show("y" * 200)
    assert screen(terminal) == ["y" * 19]
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((0, 0)))
    line.show("z" * 200)
    assert screen(terminal) == ["z" * 79]


def test_standard_streams_go_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    terminal, out = Terminal(), Terminal()
    line = StatusLine(terminal)
    with line.guard(out, terminal):
        line.show("live")
        sys.stdout.write("printed\n")
        sys.stderr.write("logged\n")
        sys.stderr.writelines(["a\n", "b\n"])
        assert sys.stdout.isatty()
        sys.stdout.flush()
    assert out.getvalue() == "printed\n"
    assert screen(terminal) == ["logged", "a", "b", ""]
    assert sys.stderr is not terminal


def test_output_that_goes_elsewhere_is_left_alone() -> None:
    import sys

    terminal, file = Terminal(), io.StringIO()
    before = sys.stdout
    with StatusLine(terminal).guard(file, terminal):
        assert sys.stdout is before


@pytest.mark.parametrize(
    ("stream", "term", "live"),
    [
        (Terminal(), "xterm", True),
        (Terminal(), "dumb", False),
        (Terminal(), None, False),
        (io.StringIO(), "xterm", False),
    ],
)
def test_where_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, stream: Any, term: str | None, live: bool
) -> None:
    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)
    assert is_live(stream) is live


# --- what stands in it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "seconds", "text"),
    [
        (Reading(), Reading(), 1, "0 requests/s · 0 B/s · 0 open · 0 in all"),
        (
            Reading(10, 1000, 5, 1),
            Reading(11, 3000, 5, 2),
            1,
            "1 request/s · 2.0 kB/s · 54% hits · 2 open · 11 in all",
        ),
        (
            Reading(),
            Reading(30_000, 8_000_000, 1, 1200),
            2,
            "15,000 requests/s · 4.0 MB/s · 99% hits · 1,200 open · 30,000 in all",
        ),
        (Reading(), Reading(3, 0, 7, 0), 1, "3 requests/s · 0 B/s · 0% hits · 0 open · 3 in all"),
        (Reading(3, 9), Reading(3, 5), 1, "0 requests/s · 0 B/s · 100% hits · 0 open · 3 in all"),
    ],
)
def test_texts(before: Reading, now: Reading, seconds: float, text: str) -> None:
    assert describe(before, now, seconds) == f"  {text}"


def test_a_tick_shows_what_has_happened_since_the_last() -> None:
    terminal, clock, readings = Terminal(), Clock(), [Reading(), Reading(4, 0, 0, 0)]
    live = LiveLine(StatusLine(terminal), lambda: readings[-1], clock)
    live.tick()
    assert screen(terminal) == [""], "no time has passed"
    clock.now += 2
    live.tick()
    assert screen(terminal)[-1].startswith("  2 requests/s")
    clock.now += 1
    live.tick()
    assert screen(terminal)[-1].startswith("  0 requests/s")


def test_it_runs_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_INTERVAL", 0.001)
    terminal, ticked = Terminal(), threading.Event()
    reads: list[int] = []

    def read() -> Reading:
        reads.append(1)
        if len(reads) > 3:
            ticked.set()
        return Reading(1, 1, 1, 1)

    live = LiveLine(StatusLine(terminal), read)
    live.start()
    assert ticked.wait(20)
    live.close()
    live._thread.join(20)
    assert not live._thread.is_alive()
    assert screen(terminal) == [""]
