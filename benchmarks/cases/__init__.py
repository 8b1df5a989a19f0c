"""The cases: what is asked, and the one right answer. To add a case, add an entry to a table here.

A path that no application knows yet needs its route in each module of :mod:`benchmarks.apps`.
"""

from benchmarks.cases.files import FILE_CASES
from benchmarks.cases.http2 import HTTP2_CASES
from benchmarks.cases.model import PROBES, UNKNOWN, Answer, Case, Probe
from benchmarks.cases.web import WEB_CASES
from benchmarks.cases.websocket import WEBSOCKET_CASES

__all__ = ["CASES", "PROBES", "UNKNOWN", "Answer", "Case", "Probe"]

CASES = {case.name: case for case in (*WEB_CASES, *HTTP2_CASES, *WEBSOCKET_CASES, *FILE_CASES)}
