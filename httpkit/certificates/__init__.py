"""Certificates: a development CA of this user, and what can be said about a chain of certificates.

Owns X.509 (RFC 5280) as far as a server's developer meets it. Refuses to be a public CA: no
revocation, no certificate requests. Cryptography, parsing and path validation are those of
`cryptography`; what stands here is policy, files and explanations.

| module | what it does |
|---|---|
| `names` | the names in a certificate: checking, writing, matching |
| `issue` | keys and certificates made, without files or a clock |
| `store` | the directory of the CA: permissions, lock, atomic writing |
| `development` | the CA of this user: what is created, renewed and issued, and when |
| `exports` | chains for other programs, and the record of them |
| `reading` | certificates and keys out of files |
| `remote` | the chain that a server sends |
| `roots` | the authorities that this machine trusts |
| `trust` | how to teach them to it |
| `chain` | the path from a certificate to a root, link by link |
| `describe` | certificates and keys in words |
| `findings` | what is wrong with a chain, in sentences |
| `report` | all of that about one chain, for people and for programs |

Called by `httpkit.cli.cert`, and by a server that speaks TLS without a certificate of its own.
"""

from httpkit.certificates.development import (
    DevelopmentCertificate,
    ensure_development_certificate,
)

__all__ = ["DevelopmentCertificate", "ensure_development_certificate"]
