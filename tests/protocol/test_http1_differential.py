"""Two parsers, one result: the same bytes give the same requests, and the same verdict.

A grammar makes streams of almost valid requests: good ones, then bytes and lines of them are
inserted, deleted, doubled, replaced and swapped. Both engines get them cut in different ways.
"""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from httpkit.errors import LocalProtocolError
from httpkit.limits import Limits
from httpkit.protocol.engine import Close
from httpkit.protocol.events import DataReceived
from httpkit.protocol.http1 import Preamble, make_engine
from httpkit.response import Response

from .driver import DATE, DEFAULT, GET, Driver, bytewise, cut, run
from .open_choices import OPEN_CHOICES

EXAMPLES = 300

#: Small enough for what is generated to exceed them.
SMALL = Limits(max_target=24, max_header_bytes=96, max_headers=4)

FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

METHODS = [b"GET", b"POST", b"HEAD", b"OPTIONS", b"QUERY", b"CONNECT", b"FOO", b"PRI", b"get"]
TARGETS = [b"/", b"/a?b", b"*", b"http://b/c", b"http://[::1]:80?d", b"b:80", b"//", b"/#"]
VERSIONS = [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.2"]
NAMES = [
    b"X",
    b"X-Y",
    b"Host",
    b"Content-Length",
    b"Transfer-Encoding",
    b"Connection",
    b"Proxy-Connection",
    b"Expect",
    b"Upgrade",
    b"Cookie",
    b"Trailer",
]
VALUES = [
    b"",
    b"a",
    b"a b",
    b"0",
    b"1",
    b"5",
    b"+5",
    b"5, 5",
    b"18446744073709551616",
    b"chunked",
    b"Chunked",
    b"gzip, chunked",
    b"chunked, chunked",
    b"identity",
    b"close",
    b"keep-alive",
    b"upgrade",
    b"keep-alive, Upgrade",
    b"close, upgrade",
    b"websocket",
    b"h2c",
    b"100-continue",
    b"a:80",
    b"[::1]",
    b"\xe9\xff",
    b"y" * 60,
]
EXTENSIONS = [b"", b"", b"", b";a", b";a=b", b';a="b\\"c"', b";", b" ", b";a=", b"; a"]
NASTY = [
    *(bytes([byte]) for byte in b'\r\n\0 \t\x0b\x0c\x01\x7f\x80\xff:;,="#%/*+-_0159aAfFgGxX()[]\\'),
    b"\r\n",
    b"\n\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\r\n\t",
    b"\r\r\n",
    b"  ",
    b"0\r\n\r\n",
    b"0x",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Host: b\r\n",
    b"Upgrade: foo\r\nConnection: upgrade\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
]


@st.composite
def field_lines(draw, names=NAMES):
    blank = st.sampled_from([b" ", b"", b"\t", b"  ", b" \t "])
    name, value = draw(st.sampled_from(names)), draw(st.sampled_from(VALUES))
    return b"%b:%b%b%b\r\n" % (
        name,
        draw(blank),
        value,
        draw(blank) if draw(st.booleans()) else b"",
    )


@st.composite
def chunked_bodies(draw):
    body = b""
    for data in draw(st.lists(st.sampled_from([b"a", b"hello", b"\r\n", b"x" * 20]), max_size=3)):
        size = b"%x" % len(data) if draw(st.booleans()) else b"%03X" % len(data)
        body += b"%b%b\r\n%b\r\n" % (size, draw(st.sampled_from(EXTENSIONS)), data)
    trailers = b"".join(draw(st.lists(field_lines(), max_size=2)))
    return body + b"0%b\r\n%b\r\n" % (draw(st.sampled_from(EXTENSIONS)), trailers)


@st.composite
def requests(draw):
    """One request: mostly good, with fields that mean something put together at random."""
    likely = draw(st.booleans())
    method = draw(st.sampled_from(METHODS[: 5 if likely else None]))
    target = draw(st.sampled_from(TARGETS[: 2 if likely else None]))
    version = draw(st.sampled_from(VERSIONS[: 6 if likely else None]))
    fields = [b"Host: a\r\n"] if likely or draw(st.booleans()) else []
    fields += draw(st.lists(field_lines(names=[b"X"] if likely else NAMES), max_size=3))
    body = b""
    kind = draw(st.integers(0, 4))
    if kind == 1:
        body = draw(st.binary(max_size=8))
        fields.append(b"Content-Length: %d\r\n" % len(body))
    elif kind == 2:
        body = draw(chunked_bodies())
        fields.append(b"Transfer-Encoding: chunked\r\n")
    elif kind == 3:
        fields.append(b"Connection: upgrade\r\nUpgrade: foo\r\n")
    fields = draw(st.permutations(fields)) if draw(st.booleans()) else fields
    line = b"%b %b %b\r\n" % (method, target, version)
    return b"%b%b\r\n%b" % (line, b"".join(fields), body)


@st.composite
def mutations(draw, data):
    """Change a few bytes, or the order of lines."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(1, 3))
        match draw(st.sampled_from("insert delete double replace swap".split())):
            case "insert":
                data = data[:at] + draw(st.sampled_from(NASTY)) + data[at:]
            case "delete":
                data = data[:at] + data[at + size :]
            case "double":
                data = data[: at + size] + data[at:]
            case "replace":
                data = data[:at] + draw(st.sampled_from(NASTY)) + data[at + size :]
            case _:
                lines = data.split(b"\r\n")
                one, two = at % len(lines), (at * 7 + size) % len(lines)
                lines[one], lines[two] = lines[two], lines[one]
                data = b"\r\n".join(lines)
    return data


@st.composite
def streams(draw):
    """A few requests behind each other, some of them damaged."""
    parts = draw(st.lists(requests(), min_size=1, max_size=3))
    parts = [draw(mutations(part)) if draw(st.booleans()) else part for part in parts]
    joint = st.sampled_from([b"", b"", b"", b"\r\n"])
    return b"".join(draw(joint) + part for part in parts)


@st.composite
def cuts(draw, data):
    marks = st.lists(st.integers(1, max(1, len(data) - 1)), max_size=6)
    return cut(data, draw(marks))


def answer_anything(driver, stream):
    """Accept every upgrade, answer all else."""
    offers = (stream.received.upgrade or b"").split(b",")
    protocol = offers[0].strip()
    if protocol:
        driver.engine.accept_upgrade(stream.id, Response(b""), protocol)
    else:
        driver.engine.send_response(stream.id, Response(b"answer"))


def check_agreement(data, cuts_of_it, limits, *, eof):
    """The property: neither the parser nor the cuts can be told from the result."""
    expected = run("native", data, limits, answer_anything, eof=eof).verdict()
    for pieces in ([data], bytewise(data), *cuts_of_it):
        for parser in ("native", "reference"):
            assert run(parser, pieces, limits, answer_anything, eof=eof).verdict() == expected


@FUZZ
@given(
    data=st.data(), stream=streams(), eof=st.booleans(), limits=st.sampled_from([DEFAULT, SMALL])
)
def test_almost_valid_requests(data, stream, eof, limits):
    pieces = data.draw(cuts(stream))
    check_agreement(stream, [pieces], limits, eof=eof)
    for parser in ("native", "reference"):
        # When the answer comes early, the cut decides how much of a body is unread, and so what
        # the answer can say about the connection; the state machine must stand it.
        driver = Driver(parser, limits, early=True).feed(*pieces).eof()
        assert driver.engine.close in (Close.NOW, Close.LINGER)


@FUZZ
@given(
    stream=st.one_of(
        st.binary(max_size=200),
        st.lists(st.sampled_from([*NASTY, *METHODS, *NAMES, *VALUES]), max_size=40).map(b"".join),
    )
)
def test_garbage(stream):
    check_agreement(stream, [], SMALL, eof=True)


@pytest.mark.parametrize("name", OPEN_CHOICES)
def test_open_choices(parser, name):
    choice = OPEN_CHOICES[name]
    driver = run(parser, choice.sample)
    assert (driver.terminated.status if driver.terminated else None) == choice.status
    assert len([stream for stream in driver.streams if stream.ended]) == (choice.status is None)
    assert choice.section.startswith("RFC ")
    assert choice.text.endswith(".")


# --- the whole contract, in any order ---------------------------------------------------------

INPUT = [
    GET,
    GET + GET,
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\nSum: 1\r\n\r\n",
    b"GET / HT",
    b"TP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b"x" * 50,
]


def call(name, *arguments):
    return lambda engine: getattr(engine, name)(*arguments)


def on_stream(name, *arguments):
    """A call of the handler of the newest request."""
    return lambda engine: getattr(engine, name)(engine.last_stream_id, *arguments)


CONSTANT, OWN = Response(b"constant"), Response(b"own", headers={"x": "y"})
ACTS = {
    **{repr(data): call("receive_data", data) for data in INPUT},
    "pump": call("receive_data", b""),
    "end of input": call("receive_eof"),
    "timeout": call("receive_timeout"),
    "shutdown": call("begin_shutdown"),
    "take": call("data_to_send"),
    "take some": call("data_to_send", 7),
    "consume": on_stream("consume", 3),
    "answer": on_stream("send_response", CONSTANT),
    "own answer": on_stream("send_response", OWN),
    "no content": on_stream("send_response", Response(b"gone", 204)),
    "close": on_stream("send_response", Response(b"bye", headers={"connection": "close"})),
    "bad answer": on_stream("send_response", Response(b"x", headers={"content-length": "2"})),
    "head": on_stream("send_headers", OWN, None),
    "head of 5": on_stream("send_headers", OWN, 5),
    "data": on_stream("send_data", b"hello"),
    "more data": on_stream("send_data", b"x" * 40),
    "end": on_stream("send_end"),
    "end with trailers": on_stream("send_end", [(b"sum", b"1")]),
    "bad trailers": on_stream("send_end", [(b"host", b"a")]),
    "continue": on_stream("send_informational", 100, []),
    "hints": on_stream("send_informational", 103, [(b"link", b"a")]),
    "reset": on_stream("send_reset"),
    "upgrade": on_stream("accept_upgrade", Response(b""), b"foo"),
}
TIGHT = Limits(
    body_buffer=8, input_buffer=40, drain_bytes=20, write_buffer=200, max_requests_per_connection=4
)


def describe(event):
    fields = msgspec.structs.asdict(event)
    head = fields.get("head")
    if head is not None:
        fields["head"] = (head.method, head.target, head.authority, head.headers, head.version)
    return type(event).__name__, str(fields)


def split_content(events):
    """A body that came with a plain head, as the parser that takes heads alone tells of it."""
    for event in events:
        content = getattr(event, "content", b"")
        if content:
            event.content, event.end_stream = b"", False
        yield event
        if content:
            yield DataReceived(event.stream_id, content, end_stream=True)


def play(parser, acts):
    """Everything that can be seen from outside, after each act."""
    engine = make_engine(parser, TIGHT, Preamble(DATE))
    seen, output = [], b""
    for act in acts:
        try:
            result = ACTS[act](engine)
        except LocalProtocolError as error:
            result = str(error)
        if isinstance(result, list):
            result = [describe(event) for event in split_content(result)]
        elif isinstance(result, bytes):
            output += result
        seen.append((act, result, engine.close, engine.deadline_kind, engine.wants_input))
        seen.append((engine.has_more_to_send, engine.capacity(1), engine.last_stream_id))
        seen.append((engine.expects_continue(engine.last_stream_id), engine.body_received))
    closed = engine.close
    output += engine.data_to_send()
    if closed is not Close.OPEN:
        for act in (name for name in ACTS if not name.startswith("take")):
            assert ACTS[act](engine) in (None, [])  # nothing raises, nothing happens
        assert not engine.has_more_to_send
        assert engine.close in (closed, Close.NOW)
    return seen, output


@FUZZ
@given(acts=st.lists(st.sampled_from(sorted(ACTS)), max_size=30))
def test_any_order_of_calls(acts):
    """Only `LocalProtocolError` is raised, and the parsers cannot be told apart."""
    assert play("native", acts) == play("reference", acts)
