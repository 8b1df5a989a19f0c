"""`httpkit cert`: the development CA of this user, and explanations of chains.

Owns the words and options. What is made and kept stands in `httpkit.certificates`.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from cryptography import x509

from httpkit.certificates.describe import describe
from httpkit.certificates.development import DevelopmentCA
from httpkit.certificates.exports import Exports
from httpkit.certificates.issue import LEAF_VALIDITY
from httpkit.certificates.names import machine_names, parse_name
from httpkit.certificates.store import data_directory
from httpkit.certificates.trust import SYSTEMS, instructions
from httpkit.cli.cert_show import show_command
from httpkit.cli.routes import format_table
from httpkit.cli.terminal import exit_with_error
from httpkit.errors import ConfigurationError

__all__ = ["cert_group"]

_HEADINGS = ("KIND", "NAMES", "UNTIL", "DAYS", "FILE")


class _Group(click.Group):
    """Commands whose mistakes of configuration are one sentence and code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            exit_with_error(str(error))


@click.group("cert", cls=_Group)
def cert_group() -> None:
    """Certificates for development, and any chain explained.

    The development CA is yours alone: a root, an intermediate that it has signed, and what that
    signs. It is made when it is first needed, in your data directory, and trusted by nobody until
    you say so: `httpkit cert trust` tells how.
    """


@cert_group.command("create", short_help="Export a chain and its key for given names.")
@click.argument("names", nargs=-1, metavar="[NAMES]…")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=".",
    show_default=True,
    metavar="DIR",
    help="Where the files are written.",
)
@click.option(
    "--days",
    type=click.IntRange(1, LEAF_VALIDITY.days),
    default=LEAF_VALIDITY.days,
    show_default=True,
    help="Validity; browsers accept no more than the default.",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
def create_command(*, names: tuple[str, ...], out: Path, days: int, force: bool) -> None:
    """Export a chain and its key for host names, wildcards and IP addresses.

    Without NAMES it is for this machine. The files are called after the first name: NAME.pem with
    the certificate and the intermediate, and NAME-key.pem with the private key.
    """
    # In the order given, each once.
    parsed = list(dict.fromkeys(map(parse_name, names))) or machine_names()
    authority = DevelopmentCA(data_directory())
    made = Exports(authority).create(parsed, out, days, overwrite=force)
    click.echo(f"chain  {made.chain}\nkey    {made.key}\nroot   {authority.root}")


@cert_group.command("list", short_help="List what has been made, and how long it is valid.")
def list_command() -> None:
    """List what the development CA has made, and how long it is valid."""
    authority = DevelopmentCA(data_directory())
    rows = list(_rows(authority))
    if not rows:
        click.echo(f"There is no development CA yet in {authority.directory}.")
        return
    click.echo("\n".join(format_table([_HEADINGS, *rows])))


def _rows(authority: DevelopmentCA) -> Iterator[tuple[str, ...]]:
    files = {
        "root": authority.root,
        "intermediate": authority.intermediate,
        "machine": authority.machine.chain,
    }
    for kind, path in files.items():
        if path.exists():
            yield _row(kind, _load(path), str(path), authority.now)
    for export in Exports(authority).load():
        certificate = export.load()
        if certificate is None:
            names = " ".join(export.names)
            yield "exported", names, "gone or replaced", "-", export.chain
        else:
            yield _row("exported", certificate, export.chain, authority.now)


def _row(
    kind: str, certificate: x509.Certificate | None, path: str, now: datetime
) -> tuple[str, ...]:
    if certificate is None:
        return kind, "-", "damaged", "-", path
    shown = describe(certificate, now)
    names = " ".join(shown.names) or shown.title
    return kind, names, f"{shown.not_after:%Y-%m-%d}", str(shown.days_left), path


def _load(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


@cert_group.command("renew", short_help="Renew what ends within a month.")
@click.option("--all", "everything", is_flag=True, help="Also what is good for longer.")
def renew_command(*, everything: bool) -> None:
    """Renew what ends within a month, in its files: for this machine, and what was exported.

    A server renews the certificate of this machine by itself when it starts. Files that were
    exported and have been moved or replaced since are left alone and forgotten.
    """
    authority = DevelopmentCA(data_directory())
    before = _load(authority.machine.chain)
    authority.ensure(machine_names(), anew=everything)
    renewed = [] if _load(authority.machine.chain) == before else [str(authority.machine.chain)]
    renewed += [export.chain for export in Exports(authority).renew(everything=everything)]
    for path in renewed:
        click.echo(f"renewed {path}")
    if not renewed:
        click.echo("Nothing ends within a month.")


@cert_group.command("trust", short_help="Tell how systems and programs trust the root.")
@click.argument("system", type=click.Choice(SYSTEMS), required=False)
def trust_command(*, system: str | None) -> None:
    """Tell how the root is trusted by a system or program, and how that is taken back.

    Nothing is changed by this command. Whoever can read the key of the root can then pose as any
    site for whoever trusts it: it is readable for you only, and does not belong on other machines.
    """
    authority = DevelopmentCA(data_directory())
    authority.ensure(machine_names())
    root = authority.load_root()
    assert root is not None
    known = instructions(authority.root, describe(root, authority.now).title)
    for each in [system] if system else SYSTEMS:
        title, steps, undo = known[each]
        click.echo(f"{click.style(title, bold=True)}\n{_indent(steps)}")
        if undo:
            click.echo(f"  to take it back:\n{_indent(undo)}")
        click.echo()


def _indent(lines: str) -> str:
    return "\n".join(f"    {line}" for line in lines.splitlines())


@cert_group.command("path")
def path_command() -> None:
    """Print the directory of the development CA."""
    click.echo(data_directory())


cert_group.add_command(show_command)
