"""The registry of servers. To add a peer, add an entry to one of the tables.

Each server runs with one worker on one core, on uvloop, without an access log, and with the
settings that its own documentation names as the fastest for that. What a server does for each
request by default and httpkit does not (proxy headers, a Server header) is switched off; what
every HTTP server should send (Date) stays on. Over TLS all have the certificate of the run and
their own choice of everything else.
"""

from benchmarks.servers.files import FILE_SERVERS
from benchmarks.servers.web import WEB_SERVERS

SERVERS = {server.name: server for server in (*WEB_SERVERS, *FILE_SERVERS)}
