# The showcase in a small image; replace examples/ and the command by an application of your own.
#
#   docker build -t httpkit . && docker run --rm -p 8000:8000 httpkit
#
# It needs no capability and writes to nothing but /tmp: add --read-only --cap-drop ALL --tmpfs /tmp.
# There are the files of the showcase, uploads that do not fit into memory, and directories of workers.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY httpkit httpkit
# pip stays behind in this stage.
RUN python -m venv --without-pip /venv \
  && python -m pip --python /venv/bin/python install --no-cache-dir ".[all]"

FROM python:${PYTHON}-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin httpkit
COPY --from=build /venv /venv
WORKDIR /app
COPY examples examples
ENV PATH="/venv/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 10001
EXPOSE 8000
# The server stops gracefully on SIGTERM; give `docker stop --time` more than --shutdown-timeout.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/', timeout=2)"]
ENTRYPOINT ["httpkit", "run"]
CMD ["examples.showcase.app:app", "--host", "0.0.0.0"]
