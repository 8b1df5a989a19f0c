"""How the root of the development CA is taught to systems and programs.

Owns the words. Nothing is installed from here: what a machine trusts is changed by its
administrator, who sees what is done.
"""

import shlex
from pathlib import Path
from typing import NamedTuple

__all__ = ["SYSTEMS", "Instruction", "instructions"]


class Instruction(NamedTuple):
    """What to do for one system or program."""

    title: str
    steps: str
    """Lines: commands, or sentences where there is no command."""
    undo: str
    """How it is taken back; empty where that goes without saying."""


#: What `instructions` knows, in the order in which it is shown.
SYSTEMS = ("debian", "fedora", "arch", "macos", "windows", "firefox", "chromium", "programs")


def instructions(root: Path, name: str) -> dict[str, Instruction]:
    """What to do for each of `SYSTEMS`.

    Args:
        root: PEM file of the root.
        name: its common name, which stores show.
    """
    file = shlex.quote(str(root))
    store = 'sql:"$HOME/.pki/nssdb"'
    return {
        "debian": Instruction(
            "Debian, Ubuntu",
            f"sudo cp {file} /usr/local/share/ca-certificates/httpkit-development.crt\n"
            "sudo update-ca-certificates",
            "sudo rm /usr/local/share/ca-certificates/httpkit-development.crt\n"
            "sudo update-ca-certificates --fresh",
        ),
        "fedora": Instruction(
            "Fedora, RHEL",
            f"sudo cp {file} /etc/pki/ca-trust/source/anchors/httpkit-development.pem\n"
            "sudo update-ca-trust",
            "sudo rm /etc/pki/ca-trust/source/anchors/httpkit-development.pem\n"
            "sudo update-ca-trust",
        ),
        "arch": Instruction(
            "Arch Linux",
            f"sudo trust anchor --store {file}",
            f"sudo trust anchor --remove {file}",
        ),
        "macos": Instruction(
            "macOS (Safari, Chrome, curl)",
            "sudo security add-trusted-cert -d -r trustRoot "
            f"-k /Library/Keychains/System.keychain {file}",
            f"sudo security remove-trusted-cert -d {file}",
        ),
        "windows": Instruction(
            "Windows (Edge, Chrome), with the file copied there as root.pem",
            "certutil -user -addstore Root root.pem",
            f'certutil -user -delstore Root "{name}"',
        ),
        "firefox": Instruction(
            "Firefox",
            "Settings, Privacy & Security, View Certificates, Authorities, Import:\n"
            f"{root}\n"
            "(or set security.enterprise_roots.enabled in about:config on macOS and Windows)",
            "the same dialog, Delete or Distrust",
        ),
        "chromium": Instruction(
            "Chromium and Chrome on Linux (certutil is in libnss3-tools or nss-tools)",
            f'mkdir -p "$HOME/.pki/nssdb"\ncertutil -d {store} -A -t C,, -n "{name}" -i {file}',
            f'certutil -d {store} -D -n "{name}"',
        ),
        "programs": Instruction(
            "One shell, without changing the system",
            f"export SSL_CERT_FILE={file}        # Python's ssl, OpenSSL: instead of others\n"
            f"export REQUESTS_CA_BUNDLE={file}   # requests: instead of others\n"
            f"export CURL_CA_BUNDLE={file}       # curl: instead of others\n"
            f"export NODE_EXTRA_CA_CERTS={file}  # Node.js: besides others\n"
            f"curl --cacert {file} https://localhost:8443/",
            "",
        ),
    }
