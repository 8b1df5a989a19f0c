"""Names in certificates: DNS names, wildcards and IP addresses (RFC 9525).

Owns what counts as a name, how one is written into a subjectAltName, and whether a certificate is
one for a host. Refuses what no client would match: wildcards elsewhere than in the whole first
label, labels that DNS does not have.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable

from cryptography import x509

from httpkit.errors import ConfigurationError

__all__ = ["general_name", "machine_names", "matches", "names_of", "parse_name"]

#: A label of a host name (RFC 1123 §2.1), in lower case; underscores are common in containers.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)


def parse_name(text: str) -> str:
    """A name as it stands in certificates: A-labels in lower case, addresses in their short form.

    Args:
        text: a DNS name, which may be Unicode and may have `*` as its first label, or an IP
            address, IPv6 with or without brackets.

    Raises:
        ConfigurationError: it is neither.
    """
    bracketed = text.startswith("[") and text.endswith("]")
    try:
        return str(ipaddress.ip_address(text[1:-1] if bracketed else text))
    except ValueError:
        pass
    host = text.removesuffix(".")
    star, base = ("*.", host[2:]) if host.startswith("*.") else ("", host)
    try:
        # IDNA 2003, as in Python's own look-ups of names.
        name = star + (base if base.isascii() else base.encode("idna").decode()).lower()
    except UnicodeError:
        name = ""
    labels = name.removeprefix("*.").split(".")
    # A name that ends in digits would be an address (RFC 1123 §2.1), and is a mistyped one.
    if (
        len(name) > 253
        or not all(map(_LABEL.fullmatch, labels))
        or labels[-1].isdigit()
        or (star and len(labels) < 2)
    ):
        raise ConfigurationError(
            f"{text!r} is neither a host name nor an IP address; a wildcard is the whole first "
            "label of a name with two more, as in *.example.test"
        )
    return name


def general_name(name: str) -> x509.GeneralName:
    """A name of `parse_name` for a subjectAltName (RFC 5280 §4.2.1.6)."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def machine_names() -> tuple[str, ...]:
    """What a browser on this machine or beside it calls this machine.

    `localhost` and the loopback addresses, the host name, and its name in multicast DNS (RFC 6762).
    No address of an interface: they change with the network, and every change is a new certificate.
    """
    names = ["localhost", "127.0.0.1", "::1"]
    try:
        host = parse_name(socket.gethostname())
    except ConfigurationError:
        return tuple(names)
    names.append(host)
    if "." not in host:
        names.append(f"{host}.local")
    return tuple(dict.fromkeys(names))


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """DNS names and addresses of the subjectAltName, in its order; other kinds are left out.

    Raises:
        ValueError: the extension cannot be parsed.
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from error
    return tuple(
        str(name.value).lower()
        for name in extension.value
        if isinstance(name, (x509.DNSName, x509.IPAddress))
    )


def matches(host: str, names: Iterable[str]) -> bool:
    """Whether a host is one of a certificate's names (RFC 9525 §6.3): a `*` stands for one label.

    There have to be two more, as clients demand: nobody may have a certificate for all of `.test`.

    Args:
        host: as `parse_name` gives it.
        names: as `names_of` gives them.
    """
    parent = host.partition(".")[2]
    wanted = {host}
    if "." in parent and isinstance(general_name(host), x509.DNSName):
        wanted.add(f"*.{parent}")
    return not wanted.isdisjoint(name.removesuffix(".") for name in names)
