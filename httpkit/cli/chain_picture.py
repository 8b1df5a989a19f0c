"""A chain of certificates as a picture in the terminal: boxes, and what joins them.

Owns how it looks. Text comes finished out of `httpkit.certificates`; here it is wrapped. Called by
`httpkit.cli.cert_show`.
"""

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

import click

from httpkit.certificates.describe import Description
from httpkit.certificates.report import Handshake, Report, ShownCertificate

__all__ = ["MIN_WIDTH", "draw", "draw_keys"]

#: Narrower than this, nothing is readable.
MIN_WIDTH = 40
_MAX_WIDTH = 100
_LABEL = 10


class _Signs(NamedTuple):
    """What pictures are made of."""

    corners: str
    """Top left, top right, bottom left, bottom right."""
    horizontal: str
    vertical: str
    tee: str
    good: str
    bad: str
    warning: str
    note: str
    dot: str


_UNICODE = _Signs("┌┐└┘", "─", "│", "┬", "✓", "✗", "!", "·", " · ")
_ASCII = _Signs("++++", "-", "|", "+", "ok", "X", "!", "-", ", ")


def draw(report: Report, width: int, *, unicode: bool = True) -> Iterator[str]:
    """The lines of a picture, with colors; `click.echo` takes them out where they are not wanted.

    Args:
        report: with a path.
        width: columns of the terminal; from 40 to 100 are used.
        unicode: whether the terminal has more than ASCII.
    """
    width = max(MIN_WIDTH, min(width, _MAX_WIDTH))
    signs = _UNICODE if unicode else _ASCII
    for line in _draw(report, width, signs):
        yield line if unicode else line.translate(_TO_ASCII)


#: Quotation marks and dashes in sentences.
_TO_ASCII = str.maketrans({"“": '"', "”": '"', "…": "...", "§": "section ", "\ufffd": "?"})


def _draw(report: Report, width: int, signs: _Signs) -> Iterator[str]:
    yield from _wrap(_title(report, signs), width, bold=True)
    if report.handshake is not None and report.handshake.failure is not None:
        text = f"The handshake was not completed: {report.handshake.failure}."
        yield from _marked(signs.warning, text, width, "yellow")
    yield ""
    for place in range(len(report.path)):
        yield from _box(report, place, width, signs)
        yield from _joint(report.path, place, width, signs)
    yield ""
    marks = {
        "error": (signs.bad, "red"),
        "warning": (signs.warning, "yellow"),
        "note": (signs.note, None),
    }
    for finding in report.findings:
        mark, color = marks[finding.level]
        yield from _marked(mark, finding.text, width, color)
    mark, color = (signs.good, "green") if report.accepted else (signs.bad, "red")
    yield from _marked(mark, _verdict(report), width, color, bold=True)


def draw_keys(report: Report) -> Iterator[str]:
    """A line for each private key of files without a certificate."""
    for key in report.keys:
        kind = "encrypted" if key.key is None else f"{key.key}, not encrypted"
        yield f"{report.source}: a private key ({kind}), and no certificate"


def _title(report: Report, signs: _Signs) -> str:
    handshake = report.handshake
    if handshake is None:
        return report.source
    parts = [f"{report.source} ({handshake.address})", *_agreement(handshake)]
    if handshake.server_name != report.source.rpartition(":")[0].strip("[]"):
        parts.insert(1, f"asked for {handshake.server_name}")
    return signs.dot.join(parts)


def _agreement(handshake: Handshake) -> Iterator[str]:
    if handshake.version is not None:
        yield handshake.version
        yield handshake.cipher or "no cipher"
        yield f"ALPN {handshake.alpn}" if handshake.alpn else "no ALPN"


def _box(report: Report, place: int, width: int, signs: _Signs) -> Iterator[str]:
    shown = report.path[place]
    is_last = place == len(report.path) - 1
    left = f"{signs.horizontal} {_role(shown.certificate, place)} "
    right = f" {_origin(report, shown)} {signs.horizontal}"
    fill = signs.horizontal * (width - 2 - len(left) - len(right))
    yield f"{signs.corners[0]}{left}{fill}{right}{signs.corners[1]}"
    inner = width - 4
    side = signs.vertical
    for text, bold, color in _rows(shown.certificate, inner):
        yield f"{side} {click.style(text.ljust(inner), bold=bold, fg=color)} {side}"
    # The joint leaves the box below its labels.
    below = signs.horizontal * (width - 2)
    if not is_last or shown.signature == "missing signer":
        below = below[:4] + signs.tee + below[5:]
    yield f"{signs.corners[2]}{below}{signs.corners[3]}"


def _role(certificate: Description, place: int) -> str:
    if not certificate.authority:
        return "certificate"
    if certificate.subject == certificate.issuer:
        return "root" if place else "self-signed authority"
    return "intermediate"


def _origin(report: Report, shown: ShownCertificate) -> str:
    if shown.position is None:
        return "development CA" if shown.trust == "development" else "trusted here"
    return f"{'sent' if report.handshake else 'read'}: no. {shown.position + 1}"


def _rows(certificate: Description, width: int) -> Iterator[tuple[str, bool, str | None]]:
    """The lines in a box: text, whether it is bold, color."""
    for line in textwrap.wrap(certificate.title, width):
        yield line, True, None
    days = certificate.days_left
    left = f"{days} {'day' if days == 1 else 'days'} left" if days >= 0 else "expired"
    usage = [*certificate.key_usage]
    if certificate.purposes:
        usage.append(f"for {' and '.join(certificate.purposes)}")
    rows = {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "names": ", ".join(certificate.names),
        "valid": f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}, {left}",
        "key": certificate.key,
        "usage": ", ".join(usage),
    }
    for label, text in rows.items():
        color = "red" if label == "valid" and days < 0 else None
        for number, line in enumerate(textwrap.wrap(text, width - _LABEL)):
            yield f"{'' if number else label:{_LABEL}}{line}", False, color


def _joint(path: list[ShownCertificate], place: int, width: int, signs: _Signs) -> Iterator[str]:
    """Whether the next one has signed this one; under the last one, how the path ends."""
    shown = path[place]
    algorithm = shown.certificate.signature_algorithm
    bar = f"     {signs.vertical} "
    if shown.signature == "missing signer":
        text = f"signed with {algorithm} by a certificate that is not here"
        yield from _marked(signs.bad, text, width, "red", bar)
    elif place < len(path) - 1:
        mark, text, color = {
            "valid": (signs.good, f"signed by the next one, {algorithm}", "green"),
            "unverifiable": (
                signs.warning,
                f"signed by the next one, it says ({algorithm})",
                "yellow",
            ),
        }.get(shown.signature, (signs.bad, "not signed by the next one", "red"))
        yield from _marked(mark, text, width, color, bar)
    else:
        text, color = {
            "system": ("trusted by this machine", "green"),
            "development": ("the root of your development CA", "green"),
            None: ("not trusted by this machine", "red"),
        }[shown.trust]
        mark = signs.bad if shown.trust is None else signs.good
        yield from _marked(mark, text, width, color, "     ")


def _verdict(report: Report) -> str:
    conditions = [f"ask for {report.host}"] if report.host else []
    if report.accepted and report.trusted == "development":
        conditions.append("trust your development CA")
    who = f"Clients that {' and '.join(conditions)}" if conditions else "Clients"
    if not report.accepted:
        return f"{who} refuse this chain."
    if any(finding.level == "warning" for finding in report.findings):
        return f"{who} accept this chain, though not all of them."
    return f"{who} accept this chain."


def _wrap(text: str, width: int, *, bold: bool = False) -> Iterator[str]:
    for line in textwrap.wrap(text, width):
        yield click.style(line, bold=bold)


def _marked(
    mark: str, text: str, width: int, color: str | None, before: str = "", *, bold: bool = False
) -> Iterator[str]:
    """A mark and a sentence, which hangs beside it."""
    lines = textwrap.wrap(text, width - len(before) - len(mark) - 1, break_on_hyphens=False)
    for number, line in enumerate(lines):
        lead = " " * len(mark) if number else click.style(mark, fg=color, bold=True)
        yield f"{before}{lead} {click.style(line, bold=bold)}"
