"""`httpkit cert show`: a chain of certificates, explained link by link.

Owns what is looked at: files, or a server. What there is to say stands in `httpkit.certificates`,
how it looks in `chain_picture`. Ends with 0 if clients would accept the chain, with 1 if they would
not, or if there is none.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import click
import msgspec

from httpkit.certificates.development import DevelopmentCA, utc_now
from httpkit.certificates.names import parse_name
from httpkit.certificates.reading import Contents, read_contents
from httpkit.certificates.remote import connect
from httpkit.certificates.report import Handshake, Report, make_report
from httpkit.certificates.roots import Roots, system_roots
from httpkit.certificates.store import data_directory
from httpkit.cli.chain_picture import draw, draw_keys
from httpkit.cli.terminal import exit_with_error, is_colored
from httpkit.errors import ConfigurationError

__all__ = ["parse_endpoint", "show_command"]

#: A chain is a few kilobytes, the whole store of a system a quarter of a megabyte.
_MAX_FILE = 4 * 1024 * 1024
#: Names that are meant to be files, even if there is none.
_FILE = re.compile(r"[/\\]|\.(?:pem|crt|cer|der|key|p7b|p7c)$", re.IGNORECASE)
_HTTPS = 443


class Endpoint(NamedTuple):
    """Where a server is."""

    host: str
    port: int


@click.command("show", short_help="Explain a chain, in files or of a server.")
@click.argument("targets", metavar="FILE…|HOST[:PORT]", nargs=-1, required=True)
@click.option("--servername", metavar="NAME", help="Ask for this name (SNI), and judge by it.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="For connecting, and for the handshake.",
)
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
def show_command(
    *, targets: tuple[str, ...], servername: str | None, timeout: float, as_json: bool
) -> None:
    """Explain a chain of certificates, link by link: who signs whom, and where it ends.

    FILE is in PEM, DER or PKCS #7; several are taken as one chain, so that a key can be compared
    with its certificate. HOST is asked for what it sends, on port 443 unless another one is named:
    example.com, localhost:8443, [::1]:8443.

    Ends with 0 if clients would accept the chain, otherwise with 1, as for a key without a
    certificate.
    """
    try:
        name = None if servername is None else _host_name(servername)
        if len(targets) == 1 and not _is_file(targets[0]):
            report = _look_at_server(parse_endpoint(targets[0]), name, timeout)
        else:
            report = _look_at_files(targets, name)
    except (ConfigurationError, ConnectionError) as error:
        exit_with_error(str(error))
    _print(report, as_json=as_json)
    if not report.accepted:
        sys.exit(1)


def parse_endpoint(text: str) -> Endpoint:
    """Host and port out of `HOST`, `HOST:PORT`, `[::1]:PORT`, a bare address, or a URL.

    Raises:
        ConfigurationError: it is none of these.
    """
    try:
        return Endpoint(_host_name(text), _HTTPS)
    except ConfigurationError:
        pass
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = _HTTPS if parts.port is None else parts.port
        if parts.hostname and port:
            return Endpoint(_host_name(parts.hostname), port)
    except (ValueError, ConfigurationError):
        pass
    raise ConfigurationError(f"{text!r} is neither a file nor HOST or HOST:PORT")


def _host_name(text: str) -> str:
    if "*" in text:
        raise ConfigurationError(f"{text!r} is a wildcard; name one host that it stands for")
    return parse_name(text)


def _is_file(target: str) -> bool:
    is_url = "://" in target
    return Path(target).is_file() or (not is_url and _FILE.search(target) is not None)


def _roots() -> Roots:
    root = DevelopmentCA(data_directory()).load_root()
    return Roots(system_roots(), [root] if root else [])


def _look_at_server(endpoint: Endpoint, name: str | None, timeout: float) -> Report:
    host, port = endpoint
    name = name or host
    peer = connect(host, port, name, timeout)
    return make_report(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        peer.certificates,
        roots=_roots(),
        now=utc_now(),
        host=name,
        handshake=Handshake(peer.address, name, peer.version, peer.cipher, peer.alpn, peer.failure),
    )


def _look_at_files(targets: tuple[str, ...], name: str | None) -> Report:
    contents = [_read(target) for target in targets]
    return make_report(
        ", ".join(targets),
        [certificate for each in contents for certificate in each.certificates],
        roots=_roots(),
        now=utc_now(),
        host=name,
        keys=[key for each in contents for key in each.keys],
    )


def _read(target: str) -> Contents:
    try:
        with open(target, "rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"{target}: {error.strerror}") from error
    if len(data) > _MAX_FILE:
        raise ConfigurationError(f"{target} is too large for a file of certificates")
    try:
        return read_contents(data)
    except ValueError as error:
        raise ConfigurationError(f"{target} {error}") from error


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
        return
    if report.path:
        unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        lines = draw(report, shutil.get_terminal_size().columns, unicode=unicode)
    else:
        lines = draw_keys(report)
    click.echo("\n".join(lines), color=is_colored(sys.stdout))
