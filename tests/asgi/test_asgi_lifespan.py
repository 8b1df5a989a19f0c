"""The lifespan protocol of hosted applications (ASGI lifespan 2.0), without sockets."""

import asyncio
import gc
from typing import Any

import pytest

from httpkit.asgi import ASGIApplication, ASGIProtocolError
from httpkit.asgi.lifespan import Lifespan, LifespanFailed


def message(kind: str, text: str | None = None) -> dict[str, Any]:
    return {"type": f"lifespan.{kind}"} | ({} if text is None else {"message": text})


class Recorder:
    """Receives and sends as a script says, and notes what happens."""

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.seen: list[Any] = []

    async def __call__(self, scope, receive, send) -> None:
        assert scope["type"] == "lifespan"
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
        self.scope = scope
        try:
            for step in self.script:
                if step == "receive":
                    self.seen.append((await receive())["type"])
                elif isinstance(step, BaseException):
                    raise step  # noqa: TRY301 - noted below
                else:
                    await send(step)
        except BaseException as error:
            self.seen.append(type(error))
            raise
        self.seen.append("returned")


def live(recorder: Any, choice: Any = "auto") -> Any:
    """Enter and leave; nothing is left behind."""

    async def main() -> None:
        try:
            async with Lifespan(recorder, choice):
                recorder.seen.append("serving")
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


COMPLETE = ("receive", message("startup.complete"))


@pytest.mark.parametrize("choice", ["auto", "on"])
def test_the_whole_way(choice) -> None:
    recorder = Recorder(*COMPLETE, "receive", message("shutdown.complete"))
    live(recorder, choice)
    assert recorder.seen == [
        "lifespan.startup",
        "serving",
        "lifespan.shutdown",
        "returned",
    ]


@pytest.mark.parametrize(
    "script", [[LookupError("no lifespan")], ["receive", LookupError()], ["receive"], []]
)
def test_an_application_without_a_lifespan(script) -> None:
    recorder = Recorder(*script)
    live(recorder)
    assert recorder.seen[-1] == "serving"
    with pytest.raises(LifespanFailed, match="has no lifespan, or it broke off") as caught:
        live(Recorder(*script), "on")
    errors = [each for each in script if isinstance(each, BaseException)]
    assert caught.value.__cause__ is (errors[0] if errors else None)


@pytest.mark.parametrize(
    ("script", "warned"),
    [
        ([LookupError("scopes of type lifespan")], False),
        (["receive"], False),
        (["receive", LookupError("no database")], True),
    ],
)
def test_a_lifespan_that_fails_is_told_even_where_the_server_goes_on(
    script, warned, caplog
) -> None:
    """ASGI lifespan: an exception means that it is not supported; one after `startup` may not."""
    recorder = Recorder(*script)
    live(recorder)
    assert recorder.seen[-1] == "serving"
    assert ("LookupError: no database" in caplog.text) is warned
    assert bool(caplog.records) is warned


def test_an_application_that_is_not_asked() -> None:
    recorder = Recorder()
    live(recorder, "off")
    assert recorder.seen == ["serving"]


@pytest.mark.parametrize("choice", ["auto", "on"])
@pytest.mark.parametrize("text", [None, "", "no database"])
def test_a_start_that_failed(choice, text) -> None:
    recorder = Recorder("receive", message("startup.failed", text), "receive")
    with pytest.raises(LifespanFailed) as caught:
        live(recorder, choice)
    assert str(caught.value) == (text or "the application failed: startup")
    assert "serving" not in recorder.seen


def test_a_stop_that_failed() -> None:
    recorder = Recorder(*COMPLETE, "receive", message("shutdown.failed", "still busy"))
    with pytest.raises(LifespanFailed, match="still busy"):
        live(recorder)


@pytest.mark.parametrize("before", [("receive",), (*COMPLETE, "receive")])
def test_an_application_that_says_that_it_failed_and_raises(before, caplog) -> None:
    """As Starlette does: it is told of once, and asyncio has nothing to complain of."""
    phase = "startup" if before == ("receive",) else "shutdown"
    recorder = Recorder(*before, message(f"{phase}.failed", "no database"), LookupError())
    with pytest.raises(LifespanFailed, match="no database"):
        live(recorder)
    del recorder
    gc.collect()
    assert caplog.text == ""


def test_an_application_that_fails_while_it_stops() -> None:
    with pytest.raises(LookupError):
        live(Recorder(*COMPLETE, "receive", LookupError()))


def test_an_application_that_returns_instead_of_stopping() -> None:
    recorder = Recorder(*COMPLETE, "receive")
    live(recorder)
    assert recorder.seen[-1] == "returned"


def test_an_application_that_returns_while_it_is_served() -> None:
    recorder = Recorder(*COMPLETE)
    live(recorder)
    assert recorder.seen == ["lifespan.startup", "returned", "serving"]


def test_an_application_that_waits_for_more_than_there_is() -> None:
    recorder = Recorder(*COMPLETE, "receive", message("shutdown.complete"), "receive", "receive")
    live(recorder)
    assert recorder.seen[2] == "lifespan.shutdown"


@pytest.mark.parametrize(
    "script",
    [
        [message("nothing.complete")],
        [{"type": "http.response.start"}],
        [message("startup.begun")],
        [message("startup.complete"), message("startup.complete")],
        [message("startup.complete"), message("startup.failed")],
        [message("startup.complete"), message("shutdown.complete")],
    ],
)
def test_mistakes(script) -> None:
    recorder = Recorder("receive", *script)
    with pytest.raises((ASGIProtocolError, LifespanFailed)) as caught:
        live(recorder, "on")
    error = caught.value if len(script) > 1 else caught.value.__cause__
    assert isinstance(error, ASGIProtocolError)


def test_a_start_that_is_cancelled() -> None:
    recorder = Recorder("receive", "receive")

    async def main() -> None:
        task = asyncio.ensure_future(Lifespan(recorder, "on").__aenter__())
        for _ in range(3):
            await asyncio.sleep(0)
        assert recorder.seen == ["lifespan.startup"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert recorder.seen == ["lifespan.startup", asyncio.CancelledError]


def test_requests_get_copies_of_the_state() -> None:
    states = []

    async def app(scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["pool"] = pool
            await send(message("startup.complete"))
            await receive()
            await send(message("shutdown.complete"))
            return
        states.append(scope["state"])
        scope["state"]["mine"] = True
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    from httpkit.testing import Client

    pool = object()
    with Client(ASGIApplication(app)) as client:
        for _ in range(2):
            assert client.get("/").status == 204
    assert states == [{"pool": pool, "mine": True}] * 2
    assert states[0] is not states[1]
