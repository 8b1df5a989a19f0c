"""Lists and parameters of field values (RFC 9110 §5.6): the one place that knows their grammar.

Owns splitting at `,` and `;` outside quoted strings, and the reading of `name=value` parameters.
Refuses (gives `None` for) what the grammar does not allow instead of guessing. Called by
negotiation, media types and forms.

Every pattern is possessive: it never takes a character back, so that reading a field costs time
linear in its length whatever a peer sends (CVE-2024-24762 was a pattern that did).
"""

import re
from collections.abc import Iterator

__all__ = ["TOKEN", "parse_parameters", "split_list"]

#: A token (RFC 9110 §5.6.2), as a possessive pattern.
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # noqa: S105 - a word of the grammar
_QUOTED = r'"(?:[^"\\]++|\\.)*+"'

#: One member of a list. A quote that is never closed runs to the end, so that it cannot hide a
#: comma from one reader and show it to another.
_MEMBER = re.compile(r'(?:[^,"]++|"(?:[^"\\]++|\\.)*+"?\\?)++', re.DOTALL)
#: RFC 9110 §5.6.6: parameters = *( OWS ";" OWS [ name "=" ( token / quoted-string ) ] )
_PARAMETER = re.compile(rf"[ \t]*+;[ \t]*+(?:({TOKEN})=({TOKEN}|{_QUOTED}))?+[ \t]*+", re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def split_list(field: str) -> Iterator[str]:
    """The members of a comma-separated list, trimmed; empty ones are skipped (RFC 9110 §5.6.1).

    Lazy, so that a caller who needs a bounded number pays for no more.
    """
    for match in _MEMBER.finditer(field):
        if member := match[0].strip(" \t"):
            yield member


def parse_parameters(text: str) -> tuple[str, dict[str, str]] | None:
    """Split `value;name=value;...` into the value and its parameters (RFC 9110 §5.6.6).

    Returns:
        The trimmed text before the first semicolon as it stands, and the parameters in order:
        names in lower case, values unquoted. `None` if anything after the semicolon breaks the
        grammar, or if a name is repeated: two readers would take different ones.
    """
    cut = text.find(";")
    if cut < 0:
        return text.strip(" \t"), {}
    parameters: dict[str, str] = {}
    position = cut
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            return None
        position = match.end()
        name, value = match.groups()
        if name is None:
            continue
        name = name.lower()
        if name in parameters:
            return None
        parameters[name] = _QUOTED_PAIR.sub(r"\1", value[1:-1]) if value[0] == '"' else value
    return text[:cut].strip(" \t"), parameters
