# The server, as `make release-check` builds it. docs/operations.md says how to run it.
# Python 3.12 is the newest for which the embedded Redis installs as a wheel.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements-runtime.lock ./
RUN python -m venv /opt/afterimage \
 && /opt/afterimage/bin/pip install --no-cache-dir --require-hashes -r requirements-runtime.lock
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY release/wheel_hook.py release/wheel_hook.py
COPY proto/afterimage proto/afterimage
COPY index index
COPY service service
RUN /opt/afterimage/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 afterimage \
 && install -d -o afterimage -m 700 /var/lib/afterimage
COPY --from=build /opt/afterimage /opt/afterimage
ENV PATH=/opt/afterimage/bin:$PATH \
    AFTERIMAGE_DATA_DIR=/var/lib/afterimage/data \
    AFTERIMAGE_HTTP=127.0.0.1:50080
USER 10001
WORKDIR /var/lib/afterimage
VOLUME /var/lib/afterimage
EXPOSE 50051
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:50080/readyz')"]
ENTRYPOINT ["afterimage"]
CMD ["serve"]
