"""The limit of open files."""

import logging
import resource

import pytest

from httpkit.server.descriptors import raise_descriptor_limit


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ((1024, 4096), (4096, 4096)),
        ((4096, 4096), None),
        ((1024, resource.RLIM_INFINITY), (1 << 20, resource.RLIM_INFINITY)),
        ((1 << 21, resource.RLIM_INFINITY), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_the_soft_limit_becomes_the_hard_one(monkeypatch, limits, wanted) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, values: calls.append(values))
    raise_descriptor_limit()
    assert calls == ([] if wanted is None else [wanted])


def test_for_real() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("error", [OSError("no"), ValueError("no")])
def test_what_cannot_be_raised_stays(monkeypatch, caplog, error) -> None:
    def setrlimit(kind, values):
        raise error

    caplog.set_level(logging.DEBUG, "httpkit")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    raise_descriptor_limit()
    assert "the limit of open files stays at 1024: no" in caplog.text
