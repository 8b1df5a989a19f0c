# The showcase in a small image; replace examples/ and the command by an application of your own.
#
#   docker build -t httpkit . && docker run --rm -p 8000:8000 httpkit

FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY httpkit httpkit
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir ".[all]"

FROM python:3.11-slim
RUN useradd --system --no-create-home --shell /usr/sbin/nologin httpkit
COPY --from=build /venv /venv
WORKDIR /app
COPY examples examples
ENV PATH="/venv/bin:$PATH" PYTHONUNBUFFERED=1
USER httpkit
EXPOSE 8000
# The server stops gracefully on SIGTERM; give `docker stop --time` more than --shutdown-timeout.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/', timeout=2)"]
ENTRYPOINT ["httpkit", "run"]
CMD ["examples.showcase.app:app", "--host", "0.0.0.0"]
