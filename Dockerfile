# The page is built by Node, the wheel by Python; what runs has neither compiler nor npm.
FROM node:24-bookworm-slim AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json web/.npmrc* ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM python:3.11-slim-bookworm AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/ requirements/
RUN pip install --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY broker/ broker/
COPY devices/ devices/
COPY gateway/ gateway/
COPY detector/ detector/
COPY enms/ enms/
COPY --from=page /src/gateway/static/ gateway/static/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .
RUN python -m venv /opt/enms \
    && /opt/enms/bin/pip install --require-hashes -r requirements/run.lock \
    && /opt/enms/bin/pip install --no-deps /wheels/*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="EnMS Gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
# The number is that of the user in Mosquitto's image: both write the broker's folder.
RUN groupadd --system --gid 1883 enms \
    && useradd --system --uid 1883 --gid 1883 --home-dir /var/lib/enms --no-create-home enms \
    && install -d -m 0700 -o enms -g enms /var/lib/enms /var/lib/enms/broker
COPY --from=wheel /opt/enms /opt/enms
ENV PATH=/opt/enms/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENMS_DATA_DIR=/var/lib/enms \
    ENMS_HOST=0.0.0.0
USER enms
VOLUME /var/lib/enms
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/api/v1/health', timeout=4)"]
ENTRYPOINT ["enms"]
CMD ["gateway"]
