"""Read the Dockerfile, and go through its steps where there is no Docker.

What this cannot show is that the base image exists and that `useradd` works in it.

    python .ci/dockerfile.py DIRECTORY    build and start in an empty directory what the image holds
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

ROOT = Path(__file__).resolve().parent.parent


class Step(NamedTuple):
    """One instruction: `COPY`, and what follows."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The arguments, without flags such as `--from`; of the JSON form the elements."""
        if self.value.startswith("["):
            return [str(word) for word in json.loads(self.value)]
        words = shlex.split(self.value)
        while words and words[0].startswith("--"):
            del words[0]
        return words


def read_stages(path: Path = ROOT / "Dockerfile") -> list[list[Step]]:
    """The instructions of each stage; comments are left out and continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    stages: list[list[Step]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, _, value = line.partition(" ")
        if name == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(Step(name, value.strip()))
    return stages


def copies(stage: list[Step]) -> list[tuple[list[str], str]]:
    """Sources in the build context and the target of each COPY from there."""
    steps = [step for step in stage if step.name == "COPY" and "--from=" not in step.value]
    return [(step.words[:-1], step.words[-1]) for step in steps]


def last(stage: list[Step], name: str) -> Step:
    """The instruction that holds: the last one of its name."""
    return next(step for step in reversed(stage) if step.name == name)


def _copy(stage: list[Step], directory: Path) -> None:
    directory.mkdir(parents=True)
    for sources, target in copies(stage):
        for source in sources:
            into = directory / target
            if (ROOT / source).is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
                shutil.copytree(ROOT / source, into, ignore=ignore)
            else:
                shutil.copy(ROOT / source, into)


def _wait_until_healthy(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"the server has ended with {server.returncode}")
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except URLError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server does not answer")


def simulate(directory: Path) -> None:
    """Build as the first stage does, start and ask as the second one does."""
    build, final = read_stages()
    source, application, venv = directory / "src", directory / "app", directory / "venv"
    _copy(build, source)
    _copy(final, application)
    quiet = {**os.environ, "PIP_QUIET": "1"}
    for step in build:
        for command in step.value.split("&&") if step.name == "RUN" else ():
            program, *arguments = shlex.split(command.replace("/venv", str(venv)))
            assert program == "python", command
            subprocess.run([sys.executable, *arguments], cwd=source, env=quiet, check=True)

    port = 20000 + os.getpid() % 10000
    environment = {
        "PATH": f"{venv}/bin:{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [*last(final, "ENTRYPOINT").words, *last(final, "CMD").words, "--port", str(port)]
    command[0] = str(venv / "bin" / command[0])
    with subprocess.Popen(command, cwd=application, env=environment) as server:
        try:
            _wait_until_healthy(server, f"http://127.0.0.1:{port}/")
            health = json.loads(last(final, "HEALTHCHECK").value.partition("CMD ")[2])
            health = [word.replace(":8000/", f":{port}/") for word in health]
            health[0] = str(venv / "bin" / health[0])
            subprocess.run(health, check=True)
        finally:
            server.send_signal(signal.SIGTERM)
    if server.returncode != 0:
        raise SystemExit(f"the server has ended with {server.returncode}")
    if list(application.rglob("__pycache__")):
        raise SystemExit("the server has written into the image")


if __name__ == "__main__":
    simulate(Path(sys.argv[1]))
