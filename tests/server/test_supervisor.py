"""What a supervisor decides, with workers that are played by the test."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

from httpkit.server.config import Config
from httpkit.server.listening import Listening
from httpkit.server.process import ExitCode
from httpkit.server.report import Ready
from httpkit.server.supervisor import Supervisor
from httpkit.server.worker_process import WorkerProcess, describe_end

SIGTERM, SIGINT, SIGKILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL


class FakeWorker:
    """A worker that does what it is told, unless told otherwise."""

    def __init__(self, number: int, pid: int) -> None:
        self.number, self.pid = number, pid
        self.reason: str | None = None
        self.obedient = True
        self.calls: list[str] = []
        loop = asyncio.get_running_loop()
        self.ready: Any = loop.create_future()
        self.leaving: Any = loop.create_future()
        self.ended: Any = loop.create_future()
        self.on_spent: Any = None

    @property
    def serving(self) -> bool:
        return self.ready.done() and self.ready.result() is not None and not self.leaving.done()

    def become_ready(self) -> None:
        self.ready.set_result(Ready(self.pid, [], [], "native", "uvloop"))

    def drain(self) -> None:
        self.leaving.set_result(None)

    def end(self, code: int = 0, reason: str | None = None) -> None:
        self.reason = reason or self.reason
        for future, result in ((self.ready, None), (self.leaving, None), (self.ended, code)):
            if not future.done():
                future.set_result(result)

    def ask_to_stop(self) -> None:
        self.calls.append("stop")
        if self.obedient:
            self.end(0)

    def kill(self, reason: str | None = None) -> None:
        self.calls.append("kill")
        self.end(-9, reason)

    def check(self) -> None:
        self.calls.append("check")


class FakeListening:
    closed = False

    def close(self) -> None:
        self.closed = True


class Play:
    """A supervisor and everything around it."""

    def __init__(
        self,
        count: int = 2,
        *,
        ready: bool = True,
        changes: Any = None,
        worker_start_timeout: float = 60.0,
    ) -> None:
        self.workers: list[FakeWorker] = []
        self.listening = [FakeListening() for _ in range(count)]
        self.announced: list[list[int]] = []
        self.now = 0.0
        self.slept: list[float] = []
        #: Whether new workers are ready at once.
        self.ready = ready
        #: What the system says to attempts to start one.
        self.refusals: list[OSError] = []
        self.supervisor = Supervisor(
            Config.of(
                workers=count, worker_start_timeout=worker_start_timeout, shutdown_timeout=0.01
            ),
            self.listening,  # type: ignore[arg-type]
            self.spawn,  # type: ignore[arg-type]
            announce=lambda reports: self.announced.append([each.pid for each in reports]),
            changes=changes,
            clock=lambda: self.now,
            sleep=self.sleep,
        )
        self.task = asyncio.create_task(self.supervisor.run())

    def spawn(self, number: int, listening: Any) -> FakeWorker:
        assert listening is self.listening[number - 1]
        assert not listening.closed
        if self.refusals:
            raise self.refusals.pop()
        worker = FakeWorker(number, 100 + len(self.workers))
        self.workers.append(worker)
        if self.ready:
            worker.become_ready()
        return worker

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(20):
            while not (result := condition()):  # noqa: ASYNC110 - looks at every turn
                await asyncio.sleep(0)
        return result

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def started(self) -> None:
        await self.until(lambda: self.announced)

    async def stop(self) -> int:
        self.supervisor.receive_stop_signal(SIGTERM)
        return await self.task

    def serving(self) -> list[int]:
        return [worker.pid for worker in self.workers if worker.serving]


@pytest.fixture
def play():
    """Run a coroutine function with a `Play`."""

    def run(scene: Callable[[Play], Any], *args: Any, **options: Any) -> None:
        async def main() -> None:
            await scene(Play(*args, **options))

        asyncio.run(main(), debug=False)

    return run


def test_start_and_stop(play, caplog) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        assert play.announced == [[100, 101, 102]]
        assert await play.stop() == ExitCode.STOPPED
        assert [worker.calls for worker in play.workers] == [["stop"]] * 3
        assert all(each.closed for each in play.listening)

    play(scene, 3)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_the_first_worker_starts_alone(play) -> None:
    """A mistake in the application is then shown once."""

    async def scene(play: Play) -> None:
        await play.until(lambda: play.workers)
        await play.settle()
        assert len(play.workers) == 1
        play.workers[0].end(3, "no database")
        assert await play.task == ExitCode.NOT_STARTED
        assert len(play.workers) == 1

    play(scene, 3, ready=False)


@pytest.mark.parametrize(("code", "expected"), [(3, 3), (1, 1), (0, 1), (2, 1), (-9, 1)])
def test_a_worker_that_fails_to_start_ends_everything(play, caplog, code, expected) -> None:
    async def scene(play: Play) -> None:
        await play.until(lambda: play.workers)
        play.workers[0].become_ready()
        await play.until(lambda: len(play.workers) == 3)
        for worker in play.workers[1:]:
            worker.end(code, "not today")
        assert await play.task == expected
        assert play.workers[0].calls == ["stop"]
        assert play.announced == []

    play(scene, 3, ready=False)
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage().endswith(f"{describe_end(code)}: not today")


def test_a_worker_that_is_never_ready(play, caplog) -> None:
    async def scene(play: Play) -> None:
        assert await play.task == ExitCode.FAILED
        assert play.workers[0].calls == ["kill"]

    play(scene, 1, ready=False, worker_start_timeout=0.01)
    assert "was killed by SIGKILL: it was not ready after 0.01 s" in caplog.text


def test_a_worker_that_dies_is_replaced(play, caplog) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        play.workers[0].end(-11)
        await play.until(lambda: play.serving() == [101, 102])
        assert play.workers[2].number == 1
        assert play.slept == [0]
        assert await play.stop() == ExitCode.STOPPED

    play(scene)
    assert "worker 1 (pid 100) was killed by SIGSEGV; the next one starts in 0 s" in caplog.text


def test_a_worker_that_drains_unasked_is_replaced_before_it_ends(play, caplog) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        play.workers[0].drain()
        await play.until(lambda: play.serving() == [101, 102])
        assert not play.workers[0].ended.done()
        play.workers[0].end(0)
        await play.settle()
        assert len(play.workers) == 3
        await play.stop()

    play(scene)
    assert "worker 1 (pid 100) stops without being asked; the next" in caplog.text


def test_a_replacement_that_fails_is_tried_again(play) -> None:
    """The others serve on meanwhile; nothing ends as it would at the first start."""

    async def scene(play: Play) -> None:
        await play.started()
        play.ready = False
        play.workers[0].end(1)
        await play.until(lambda: len(play.workers) == 3)
        play.workers[2].end(3)
        await play.until(lambda: len(play.workers) == 4)
        play.workers[3].become_ready()
        await play.until(lambda: play.serving() == [101, 103])
        assert play.slept == [0, 1]
        await play.stop()

    play(scene)


def test_a_system_that_cannot_start_a_process_now_is_asked_again(play, caplog) -> None:
    """A shortage shall not take those with it that serve."""

    async def scene(play: Play) -> None:
        await play.started()
        play.refusals = [OSError(12, "Cannot allocate memory")] * 9
        play.workers[0].end(-9)
        await play.until(lambda: play.serving() == [101, 102])
        assert play.slept == [0, *[5] * 9]
        play.refusals = [OSError(11, "Resource temporarily unavailable")]
        play.supervisor.roll()
        await play.until(lambda: play.serving() == [103, 104])
        await play.stop()

    play(scene)
    assert (
        "worker 1 cannot be started: [Errno 12] Cannot allocate memory; the next try" in caplog.text
    )


@pytest.mark.parametrize(("code", "expected"), [(3, 3), (-11, 1)])
def test_a_crash_loop_ends_everything(play, caplog, code, expected) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        for number in range(5):
            await play.until(lambda: len(play.serving()) == 2)
            worker = next(each for each in play.workers if each.serving and each.number == 2)
            worker.end(code, f"reason {number}")
        assert await play.task == expected
        assert play.slept == [0, 1, 2, 4]

    play(scene)
    assert "reason 4; it ends again and again, so everything does" in caplog.text


def test_time_in_service_is_forgiven(play) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        for _ in range(10):
            await play.settle()
            play.now += 100
            play.workers[-1].end(1)
            await play.until(lambda: len(play.serving()) == 1)
        assert play.slept == [0] * 10
        await play.stop()

    play(scene, 1)


def test_a_worker_that_has_served_its_requests_is_replaced_first(play, caplog) -> None:
    """It serves until another one is ready; that is no end, so it counts for no crash loop."""

    async def scene(play: Play) -> None:
        await play.started()
        play.ready = False
        for number in range(6):
            old = next(each for each in play.workers if each.serving and each.number == 1)
            old.on_spent()
            old.on_spent()  # once more, while the other one starts
            await play.until(lambda number=number: len(play.workers) == 3 + number)
            await play.settle()
            assert old.calls == []
            play.workers[-1].become_ready()
            await play.until(lambda old=old: old.calls == ["stop"])
            await play.settle()
        assert len(play.workers) == 8
        assert play.serving() == [101, 107]
        assert play.slept == []
        await play.stop()

    caplog.set_level("INFO", "httpkit")
    play(scene)
    assert "worker 1 (pid 100) has served its requests" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_worker_whose_replacement_fails_goes_on(play, caplog) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        play.ready = False
        play.workers[0].on_spent()
        await play.until(lambda: len(play.workers) == 3)
        play.workers[2].end(3, "no database")
        await play.settle()
        assert play.serving() == [100, 101]
        play.workers[0].on_spent()  # it has served as many again
        await play.until(lambda: len(play.workers) == 4)
        play.workers[3].become_ready()
        await play.until(lambda: play.serving() == [101, 103])
        assert await play.stop() == ExitCode.STOPPED

    play(scene)
    assert "no database; the old workers stay" in caplog.text


@pytest.mark.parametrize("what", ["roll", "end", "stop"])
def test_a_worker_that_is_replaced_otherwise_meanwhile(play, what) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        play.supervisor._places[0].lock = lock = asyncio.Lock()
        await lock.acquire()
        play.workers[0].on_spent()
        await play.settle()
        if what == "roll":
            play.supervisor._places[0].worker = play.workers[1]  # type: ignore[assignment]
        elif what == "end":
            play.supervisor._end.set_result(0)
        lock.release()
        await play.settle()
        assert len(play.workers) == (3 if what == "stop" else 2)
        if what != "end":
            play.supervisor._end.set_result(0)
        await play.task

    play(scene)


# --- stopping ------------------------------------------------------------------------------------


def test_the_second_signal_kills(play) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        for worker in play.workers:
            worker.obedient = False
        play.supervisor.receive_stop_signal(SIGTERM)
        await play.settle()
        play.supervisor.receive_stop_signal(SIGINT)
        assert await play.task == 128 + SIGINT
        assert [worker.calls for worker in play.workers] == [["stop", "kill"]] * 2

    play(scene)


def test_a_worker_that_does_not_stop_is_killed(play, caplog, monkeypatch) -> None:
    from httpkit.server import supervisor

    monkeypatch.setattr(supervisor, "_GRACE", 0.01)

    async def scene(play: Play) -> None:
        await play.started()
        play.workers[1].obedient = False
        assert await play.stop() == ExitCode.STOPPED
        assert [worker.calls for worker in play.workers] == [["stop"], ["stop", "kill"]]

    play(scene)
    assert "worker 2 (pid 101) does not stop: killed" in caplog.text


def test_a_stop_while_workers_start(play) -> None:
    async def scene(play: Play) -> None:
        await play.until(lambda: play.workers)
        assert await play.stop() == ExitCode.STOPPED
        assert play.workers[0].calls == ["stop"]

    play(scene, ready=False)


def test_real_signals(play) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        os.kill(os.getpid(), signal.SIGCHLD)
        await play.until(lambda: play.workers[0].calls == ["check"])
        os.kill(os.getpid(), signal.SIGHUP)
        await play.until(lambda: play.serving() == [102, 103])
        os.kill(os.getpid(), SIGTERM)
        assert await play.task == ExitCode.STOPPED

    play(scene)
    assert signal.getsignal(SIGTERM) == signal.SIG_DFL


def test_a_fault_of_the_supervisor_ends_everything(play, caplog) -> None:
    async def scene(play: Play) -> None:
        await play.started()

        def spawn(*_: Any) -> Any:
            raise RuntimeError("a mistake")

        play.supervisor._spawn = spawn
        play.workers[0].end(1)
        assert await play.task == ExitCode.FAILED
        assert play.workers[1].calls == ["stop"]

    play(scene)
    assert "the supervisor failed" in caplog.text


# --- replacing -----------------------------------------------------------------------------------


def test_a_roll_asks_the_old_one_when_the_new_one_is_ready(play) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        play.ready = False
        play.supervisor.roll()
        for old, new in ((0, 2), (1, 3)):
            await play.until(lambda new=new: len(play.workers) == new + 1)
            await play.settle()
            assert play.workers[old].calls == []
            play.workers[new].become_ready()
            await play.until(lambda old=old: play.workers[old].calls == ["stop"])
        assert play.serving() == [102, 103]
        assert play.slept == []
        await play.stop()

    play(scene)


def test_a_roll_that_fails_leaves_the_old_ones(play, caplog) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        play.ready = False
        play.supervisor.roll()
        await play.until(lambda: len(play.workers) == 3)
        play.workers[2].end(1, "a mistake")
        await play.settle()
        assert play.serving() == [100, 101]
        assert len(play.workers) == 3
        play.ready = True
        play.supervisor.roll()
        await play.until(lambda: play.serving() == [103, 104])
        await play.stop()

    play(scene)
    assert "worker 1 (pid 102) ended with code 1: a mistake; the old workers stay" in caplog.text


def test_rolls_that_come_together_are_one(play) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        for _ in range(3):
            play.supervisor.roll()
        await play.until(lambda: play.serving() == [102, 103])
        await play.settle()
        assert len(play.workers) == 4
        await play.stop()

    play(scene)


def test_a_worker_that_dies_while_its_successor_starts(play) -> None:
    async def scene(play: Play) -> None:
        await play.started()
        play.ready = False
        play.supervisor.roll()
        await play.until(lambda: len(play.workers) == 2)
        play.workers[0].end(-9)
        await play.settle()
        play.workers[1].become_ready()
        await play.until(lambda: play.serving() == [101])
        await play.settle()
        assert len(play.workers) == 2
        assert play.slept == []
        await play.stop()

    play(scene, 1)


def test_a_place_that_was_empty_is_rolled_too(play) -> None:
    """Its worker has died, and the next one is not there yet."""

    async def scene(play: Play) -> None:
        await play.started()
        play.ready = False
        play.workers[0].end(-9)
        await play.until(lambda: len(play.workers) == 2)
        play.supervisor.roll()
        await play.settle()
        play.workers[1].become_ready()
        await play.until(lambda: len(play.workers) == 3)
        play.workers[2].become_ready()
        await play.until(lambda: play.serving() == [102])
        assert play.workers[1].calls == ["stop"]
        await play.stop()

    play(scene, 1)


def test_a_place_that_dies_before_the_roll_and_fails(play) -> None:
    """A roll that finds nobody and fails has no old worker to leave; the next one starts later."""

    async def scene(play: Play) -> None:
        await play.started()
        play.ready = False
        play.supervisor.roll()
        await play.until(lambda: len(play.workers) == 2)
        play.workers[0].end(-9)
        await play.settle()
        play.workers[1].end(1)
        await play.until(lambda: len(play.workers) == 3)
        play.workers[2].become_ready()
        await play.until(lambda: play.serving() == [102])
        await play.stop()

    play(scene, 1)


# --- changes -------------------------------------------------------------------------------------


class Changes:
    """Sets of paths that come when the test says so."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[set[str]] = asyncio.Queue()

    def __aiter__(self):
        return self

    async def __anext__(self) -> set[str]:
        return await self._queue.get()

    def add(self, *paths: str) -> None:
        self._queue.put_nowait(set(paths))


def with_changes(scene: Callable[[Play, Changes], Any], **options: Any) -> None:
    async def main() -> None:
        changes = Changes()
        await scene(Play(1, changes=changes, **options), changes)

    asyncio.run(main())


def test_a_change_stops_and_starts(caplog) -> None:
    caplog.set_level("INFO")

    async def scene(play: Play, changes: Changes) -> None:
        await play.started()
        changes.add("main.py", "b.py", "c.py")
        await play.until(lambda: play.serving() == [101])
        assert play.workers[0].calls == ["stop"]
        assert not play.listening[0].closed
        assert len(play.announced) == 1
        assert await play.stop() == 0

    with_changes(scene)
    assert "b.py and 2 more changed: starting again" in caplog.text


def test_what_fails_waits_for_the_next_change(caplog) -> None:
    """At the first start as later; whatever ends in between does too."""

    async def scene(play: Play, changes: Changes) -> None:
        await play.until(lambda: play.workers)
        play.workers[0].end(1, "main.py cannot be imported")
        await play.settle()
        for pid in (101, 102):
            changes.add("main.py")
            await play.until(lambda pid=pid: play.workers[-1].pid == pid)
            play.workers[-1].end(1, "main.py cannot be imported")
            await play.settle()
        assert play.announced == []
        play.ready = True
        changes.add("main.py")
        await play.until(lambda: play.announced == [[103]])
        play.workers[3].end(-11)
        await play.settle()
        assert len(play.workers) == 4
        changes.add("main.py")
        await play.until(lambda: play.serving() == [104])
        assert play.slept == []
        assert await play.stop() == 0

    with_changes(scene, ready=False)
    assert caplog.text.count("main.py cannot be imported; waiting for a change") == 3
    assert "killed by SIGSEGV; waiting for a change" in caplog.text


@pytest.mark.parametrize(
    ("code", "text"),
    [(3, "ended with code 3"), (-9, "was killed by SIGKILL"), (-99, "was killed by signal 99")],
)
def test_ends_in_words(code: int, text: str) -> None:
    assert describe_end(code) == text


def test_what_cannot_be_started_leaves_nothing_behind(tmp_path) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listening = Listening([listener])
            before = os.listdir("/proc/self/fd")
            with pytest.raises(FileNotFoundError):
                WorkerProcess(["/nowhere"], 1, listening, Config(), {}, str(tmp_path / "all"))
            assert os.listdir("/proc/self/fd") == before

    asyncio.run(main())
    assert list((tmp_path / "all").iterdir()) == []
