"""HTTP semantics as pure functions: dates, negotiation (RFC 9110)."""
