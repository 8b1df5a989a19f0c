"""nginx for one run: its configuration is written into a prefix of its own, and it takes over.

Run by the harness as ``python -m benchmarks.servers.nginx --port 8000 --root www``. It has one
worker and what Debian's own configuration says about files (sendfile, tcp_nopush). Connections
are not closed after 1 000 requests, as they are by default.
"""

import os
from pathlib import Path
from tempfile import mkdtemp

import click

from benchmarks.endpoint import HOST

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid nginx.pid;
lock_file nginx.lock;
error_log stderr crit;
{user}
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    {cache}
    types {{
        image/png png;
        application/octet-stream bin;
    }}
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen {host}:{port} backlog=2048;
        root "{root}";
    }}
}}
"""
#: Room for all files; each is looked at again after a second.
OPEN_FILE_CACHE = "open_file_cache max=4096; open_file_cache_valid 1s;"


def configure(port: int, root: Path, *, user: str, open_file_cache: bool) -> str:
    """Return the configuration; ``user`` is who the worker is, empty for the one who starts it."""
    return CONFIGURATION.format(
        host=HOST,
        port=port,
        root=root,
        # A worker of root would else be nobody, who cannot read the directory of a run.
        user=f"user {user};" if user else "",
        cache=OPEN_FILE_CACHE if open_file_cache else "",
    )


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--root", type=click.Path(path_type=Path), required=True, help="What it serves.")
@click.option("--open-file-cache", is_flag=True, help="Keep descriptors and what stat says.")
def main(port: int, root: Path, *, open_file_cache: bool) -> None:
    """Become nginx, with a prefix beside the root."""
    prefix = Path(mkdtemp(prefix=f"nginx-{port}-", dir=root.parent))
    configuration = prefix / "nginx.conf"
    user = "root root" if os.geteuid() == 0 else ""
    configuration.write_text(
        configure(port, root, user=user, open_file_cache=open_file_cache), encoding="utf-8"
    )
    os.execvp("nginx", ["nginx", "-p", str(prefix), "-c", str(configuration), "-e", "stderr"])


if __name__ == "__main__":
    main()
