"""`--workers`: real processes of one server share their channels by themselves."""

import http.client
import json
import os
from pathlib import Path
from signal import SIGHUP, SIGKILL

import pytest

from tests.processes import lives

SITE = """
import os
from httpkit import App
from httpkit.channels import EventStream, MemoryChannels

app = App(channels=MemoryChannels(history=1000))

@app.get("/pid")
def pid(request):
    return str(os.getpid())

@app.get("/stay/{name}")
async def stay(request, name):
    async def events():
        async with app.channels.join("a", name):
            after = request.headers.get("last-event-id")
            async with app.channels.subscribe("a", after=after, history=1000) as found:
                yield str(os.getpid())
                async for message in found:
                    yield message
    return EventStream(events())

@app.post("/publish")
async def publish(request):
    return (await app.channels.publish("a", await request.text())).id

@app.get("/state")
async def state(request):
    members = sorted(each.name for each in await app.channels.members("a"))
    texts = [each.data for each in await app.channels.history("a", 1000)]
    return {"pid": os.getpid(), "members": members, "texts": texts}
"""


class Site:
    """A server of several workers."""

    def __init__(self, process) -> None:
        self.process = process
        host, _, port = process.wait_for_url().removeprefix("http://").rpartition(":")
        self.address = host, int(port)
        self.streams: list[Stream] = []

    def ask(self, method: str, path: str, body: str | None = None) -> str:
        """On a connection of its own, that is to say of any worker."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def publish(self, *texts: str) -> list[str]:
        return [self.ask("POST", "/publish", text) for text in texts]

    def state(self) -> dict:
        return json.loads(self.ask("GET", "/state"))

    def until(self, found, what: str):
        return self.process.wait_for(found, what)

    def stay(self, name: str, after: str | None = None) -> "Stream":
        stream = Stream(self.address, name, after)
        self.streams.append(stream)
        return stream


class Stream:
    """An event stream.

    Attributes:
        pid: of the worker that serves it.
    """

    def __init__(self, address, name: str, after: str | None) -> None:
        self.connection = http.client.HTTPConnection(*address, timeout=30)
        fields = {} if after is None else {"last-event-id": after}
        self.connection.request("GET", f"/stay/{name}", headers=fields)
        self.response = self.connection.getresponse()
        self._read()  # retry
        self.pid = int(self._read()[0].removeprefix("data: "))

    def _read(self) -> list[str]:
        lines = []
        while line := self.response.readline().decode().rstrip("\n"):
            lines.append(line)
        assert lines, "the stream has ended"
        return lines

    def receive(self, count: int) -> list[tuple[str, str]]:
        """Ids and texts of the next messages."""
        found = []
        while len(found) < count:
            lines = self._read()
            if lines != [":"]:
                found.append((lines[0].removeprefix("id: "), lines[1].removeprefix("data: ")))
        return found

    def close(self) -> None:
        self.response.close()
        self.connection.close()


@pytest.fixture
def site(start_httpkit, tmp_path: Path):
    (tmp_path / "site_of_channels.py").write_text(SITE)
    target = ("run", "site_of_channels:app", "--app-dir", str(tmp_path), "--port", "0")
    found = Site(start_httpkit(*target, "--workers", "3"))
    yield found
    for stream in found.streams:
        stream.close()
    found.process.stop()


def stay_everywhere(site: Site) -> list[Stream]:
    """Streams of every worker."""
    streams: list[Stream] = []
    while len({stream.pid for stream in streams}) < 3:
        streams.append(site.stay(f"name-{len(streams)}"))
        assert len(streams) < 60
    return streams


def test_all_workers_have_one_history_one_order_and_the_same_members(site):
    streams = stay_everywhere(site)
    texts = [f"text {number}" for number in range(20)]
    ids = site.publish(*texts)
    for stream in streams:
        assert stream.receive(20) == list(zip(ids, texts, strict=True))
    names = sorted(f"name-{number}" for number in range(len(streams)))
    pids = set()
    while len(pids) < 3:
        state = site.state()
        pids.add(state["pid"])
        assert (state["members"], state["texts"]) == (names, texts)


def test_a_killed_worker_costs_nobody_anything_but_a_reconnection(site):
    streams = stay_everywhere(site)
    ids = site.publish("one", "two")
    for stream in streams:
        stream.receive(2)
    victim = streams[0]
    killed = [stream for stream in streams if stream.pid == victim.pid]
    os.kill(victim.pid, SIGKILL)
    left = sorted(f"name-{n}" for n, stream in enumerate(streams) if stream not in killed)
    site.until(lambda: "is ready" in site.process.errors, "a successor")
    site.until(lambda: site.state()["members"] == left, "the end of the members")
    third = site.publish("three")
    again = site.stay("back", ids[0])
    assert again.receive(2) == [(ids[1], "two"), (third[0], "three")]
    # The successor has learned what was published before it came.
    seen: dict[int, list[str]] = {}

    def all_know() -> bool:
        state = site.state()
        seen[state["pid"]] = state["texts"]
        return list(seen.values()) == [["one", "two", "three"]] * 3

    site.until(all_know, "the same history everywhere")
    assert victim.pid not in seen


def test_a_rolling_restart_keeps_what_is_kept(site):
    old = {stream.pid for stream in stay_everywhere(site)}
    ids = site.publish("one", "two")
    for stream in site.streams:
        stream.close()
    site.process.signal(SIGHUP)
    site.until(lambda: site.process.errors.count("is ready") == 3, "three successors")
    site.until(lambda: not any(map(lives, old)), "the end of the old workers")
    stream = site.stay("back", ids[0])
    assert stream.receive(1) == [(ids[1], "two")]
    assert stream.pid not in old
    assert site.publish("three") == [stream.receive(1)[0][0]]
