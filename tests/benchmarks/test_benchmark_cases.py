"""The cases send what their names say, and the verification lets nothing else pass."""

import dataclasses
import io
from pathlib import Path

import pytest

from benchmarks import verify
from benchmarks.apps import extras
from benchmarks.cases import CASES, Answer
from benchmarks.clients.http1 import receive_response
from benchmarks.credentials import Credentials
from benchmarks.load import GENERATORS
from benchmarks.messages import BROWSER_VARIANTS, Request
from benchmarks.runner import Settings, estimate_seconds, plan
from benchmarks.servers.limit import protocol_factory, serialize_answer
from benchmarks.servers.registry import SERVERS
from benchmarks.servers.server import Materials
from httpkit.cli.run import run_command

HOST = "127.0.0.1:8000"
HELLO = Answer("text/plain; charset=utf-8", b"Hello")
MATERIALS = Materials(Credentials(Path("/run/cert.pem"), Path("/run/key.pem")), Path("/run/www"))
GOOD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain;charset=UTF-8\r\n"
    b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nHello"
)


class Transport:
    """Keeps what is written."""

    def __init__(self):
        self.written = b""

    def write(self, data):
        self.written += data


def heads(message):
    """Return the header lines of the first request of a message."""
    return message.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]


def test_requests_are_serialized_by_the_grammar():
    assert Request("GET", "/").serialize(HOST) == (
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
    )
    assert Request("POST", "/e", [("A", "b")], b"xyz").serialize(HOST) == (
        b"POST /e HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nA: b\r\nContent-Length: 3\r\n\r\nxyz"
    )


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_every_message_holds_as_many_requests_as_it_says(case):
    for message in case.messages(HOST):
        assert message.count(b" HTTP/1.1\r\n") == case.depth
        assert message.count(b"Host: 127.0.0.1:8000\r\n") == case.depth


def test_browser_requests_have_15_headers_that_vary():
    messages = CASES["browser"].messages(HOST)
    assert messages == CASES["browser"].messages(HOST)
    assert len(set(messages)) == BROWSER_VARIANTS
    assert {len(heads(message)) for message in messages} == {15}
    for name in (b"Cookie", b"Referer", b"User-Agent"):
        lines = {line for message in messages for line in heads(message) if line.startswith(name)}
        assert len(lines) > BROWSER_VARIANTS / 2


def test_post_sends_one_kibibyte():
    (message,) = CASES["post"].messages(HOST)
    assert len(message.partition(b"\r\n\r\n")[2]) == 1024


@pytest.mark.parametrize("count", [100, 1000])
def test_requests_go_to_routes_all_over_the_table(count):
    case = CASES[f"routes-{count}"]
    assert case.routes == count
    targets = [message.split()[1].decode() for message in case.messages(HOST)]
    assert len(set(targets)) == 16
    assert (targets[0], targets[-1]) == ("/resource-0/42", f"/resource-{count - 1}/42")


def test_applications_have_as_many_routes_as_the_case_says(monkeypatch):
    assert extras.resources() == []
    monkeypatch.setenv(extras.ROUTES_VARIABLE, "3")
    assert extras.resources() == ["resource-0", "resource-1", "resource-2"]


def test_tables_of_routes_are_for_servers_that_route():
    for server in SERVERS.values():
        routes = "routes-100" in server.only
        command = "".join(server.command)
        files = "static" in command or "nginx" in command
        bare = "bare_" in command or "pieces" in command
        assert routes == (not bare and not files and not server.access_log)


def test_plan_interleaves_servers_within_cases_within_rounds():
    cells = plan(["plaintext", "json"], ["limit", "httpkit-access-log", "httpkit"], 2)
    order = [(cell.round, cell.case.name, cell.server.name) for cell in cells]
    plaintext = ["limit", "httpkit-access-log", "httpkit"]
    assert order == [
        (number, case, server)
        for number in (1, 2)
        for case, servers in (("plaintext", plaintext), ("json", ["limit", "httpkit"]))
        for server in servers
    ]
    assert estimate_seconds(cells, Settings(duration=5, rounds=2, warmup=1)) == 75


def test_every_command_takes_the_port_and_over_tls_the_certificate():
    for server in SERVERS.values():
        for name in server.only:
            case = CASES[name]
            arguments = server.arguments(8123, case, MATERIALS)
            assert any("8123" in part for part in arguments)
            assert not any("{" in part for part in arguments)
            assert ("/run/cert.pem" in arguments) is case.tls
            assert ("/run/key.pem" in arguments) is case.tls


def test_options_go_by_the_version_of_the_case():
    granian = SERVERS["granian-rsgi"]
    for name, version in (("plaintext", "1"), ("http1-tls", "1"), ("h2c-1x100", "2")):
        arguments = granian.arguments(8123, CASES[name], MATERIALS)
        assert arguments[arguments.index("--http") + 1] == version


def test_every_option_of_httpkit_but_those_of_tls_is_known():
    known = {option for parameter in run_command.params for option in parameter.opts}
    known |= {option for parameter in run_command.params for option in parameter.secondary_opts}
    for server in SERVERS.values():
        if server.family == "httpkit":
            options = {part for part in server.command if part.startswith("--")}
            assert options <= known


def test_cases_of_http2_are_what_h2load_can_send():
    for case in CASES.values():
        assert case.generator in GENERATORS
        if case.protocol == "http2":
            assert case.generator == "h2load"
            (request,) = case.requests()
            assert (request.method, request.body) == ("GET", b"")


@pytest.mark.parametrize(
    ("name", "connections", "streams", "tls"),
    [
        ("h2c-16x32", 16, 32, False),
        ("h2c-1x100", 1, 100, False),
        ("h2-tls-16x32", 16, 32, True),
        ("h2-tls-1x100", 1, 100, True),
        ("download-h2-tls", 1, 1, True),
    ],
)
def test_names_of_http2_cases_are_their_connections_and_streams(name, connections, streams, tls):
    case = CASES[name]
    assert (case.protocol, case.connections, case.depth, case.tls) == (
        "http2",
        connections,
        streams,
        tls,
    )


def test_the_download_has_ten_mebibytes():
    body = CASES["download-h2-tls"].answer.body
    assert len(body) == 10 * 2**20
    assert extras.download() == body
    assert extras.download() is extras.download()


def test_verification_accepts_the_right_answer():
    verify.check(receive_response(io.BytesIO(GOOD)), HELLO)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"200 OK", b"500 No", "status is 500"),
        (b"Hello", b"hello", "body is"),
        (b"text/plain", b"text/html", "Content-Type is"),
        (b"Date", b"Data", "without Date"),
        (b"Content-Length: 5", b"Connection: close", "without Content-Length"),
        (b"Content-Length: 5", b"Content-Length: 4", "body is"),
        (b"HTTP/1.1", b"HTTP/1.0", "no HTTP/1.1 status line"),
        (GOOD, b"", "no HTTP/1.1 status line"),
    ],
)
def test_verification_refuses_every_other_answer(old, new, reason):
    with pytest.raises(verify.VerificationError, match=reason):
        verify.check(receive_response(io.BytesIO(GOOD.replace(old, new))), HELLO)


def test_verification_reads_fields_and_knows_answers_without_content():
    answer = Answer(None, b"Hello", fields=(("date", "2024"), ("content-type", "plain")))
    verify.check(receive_response(io.BytesIO(GOOD)), answer)
    for name, text in (("date", "2025"), ("age", "")):
        with pytest.raises(verify.VerificationError, match=f"{name} is .* without '{text}'"):
            verify.check(
                receive_response(io.BytesIO(GOOD)),
                dataclasses.replace(answer, fields=((name, text),)),
            )
    # RFC 9112 §6.3: a 304 ends with its head, though it may say how long the content is.
    stream = io.BytesIO(GOOD.replace(b"200 OK", b"304 No").partition(b"Hello")[0] + GOOD)
    verify.check(receive_response(stream), Answer(None, b"", status=304))
    assert receive_response(stream).body == b"Hello"


def test_each_request_of_a_case_may_have_its_own_answer():
    case = CASES["static-1000-files"]
    targets = [request.target for request in case.requests()]
    assert (len(targets), targets[0], targets[-1]) == (
        1000,
        "/static/many/0000.png",
        "/static/many/0999.png",
    )
    bodies = {case.answer_to(request).body for request in case.requests()}
    assert {len(body) for body in bodies} == {4096}
    assert len(bodies) == 1000
    plaintext = CASES["plaintext"]
    assert plaintext.answer_to(Request("GET", "/")) is plaintext.answer


STREAM = Answer("text/plain; charset=utf-8", b"Hello", streamed=True)


def test_verification_shortens_long_bodies():
    long = Answer("text/plain; charset=utf-8", b"abcd", 5000)
    with pytest.raises(verify.VerificationError, match=r"b'Hello', not b'abcd.* of 20000 bytes$"):
        verify.check(receive_response(io.BytesIO(GOOD)), long)


def test_verification_of_a_stream():
    head, _, _ = GOOD.partition(b"Content-Length")
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nHe\r\n3\r\nllo\r\n0\r\n\r\n"
    stream = io.BytesIO(chunked + GOOD)
    verify.check(receive_response(stream), STREAM)
    with pytest.raises(verify.VerificationError, match="put together first"):
        verify.check(receive_response(stream), STREAM)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("plaintext", 1000), ("streaming", 1000), ("routes-100", 1000), ("static-10k", 1000)),
        *((name, n) for name in ("pipelining", "post") for n in (1, 7, 100_000)),
    ],
)
def test_the_limit_answers_each_request_once(name, size):
    case = CASES[name]
    protocol = protocol_factory(case, 8000)()
    transport = Transport()
    protocol.connection_made(transport)
    for data in case.messages(HOST) * 2:
        for start in range(0, len(data), size):
            protocol.data_received(data[start : start + size])
    stream = io.BytesIO(transport.written)
    for _ in range(2 * case.depth * len(case.messages(HOST))):
        verify.check(receive_response(stream), case.answer)
    assert stream.read() == b""
    assert transport.written.startswith(serialize_answer(case.answer)[:40])
