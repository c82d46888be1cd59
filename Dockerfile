# A model behind HTTP, on a CPU.
#
#     docker build --tag dexa --build-arg TORCH_INDEX=URL .
#     docker run --rm --publish 127.0.0.1:8000:8000 --volume ./model:/model dexa
#
# TORCH_INDEX is a package index with the CPU build of PyTorch; without it the image holds CUDA as
# well, which is ten times as large and of no use.

FROM python:3.12-slim AS build
ARG TORCH_INDEX=
WORKDIR /source
RUN python -m venv /venv
COPY requirements.lock ./
RUN /venv/bin/pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
    "$(grep '^torch==' requirements.lock)"
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY src ./src
RUN /venv/bin/pip install --no-cache-dir --constraint requirements.lock '.[serve]'

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 dexa
COPY --from=build /venv /venv
USER dexa
ENV PATH=/venv/bin:$PATH OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
VOLUME /model
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD \
    ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["dexa", "serve", "/model", "--host", "0.0.0.0"]
