# A PC or server, models on the processor; with an NVIDIA GPU: gpu.Dockerfile. This file has not been built yet.
#
#   docker build -f packaging/docker/desktop.Dockerfile -t reid .
#   docker run -d --restart always --init --network host -v /etc/reid:/etc/reid:ro -v /var/lib/reid:/var/lib/reid \
#       --env-file /etc/reid/reid.env reid run /etc/reid/site.yaml
#
# site.yaml is as examples/site.yaml, its passwords are in reid.env. Every start writes into a folder of its own in
# `output`, after a crash too: what a run before it wrote is kept. Other commands:
# docker run --rm reid doctor. USB cameras: --device /dev/video0. Stop with `docker stop`: SIGTERM ends the run within
# two seconds.
FROM python:3.12-slim-bookworm
# GStreamer is for sources that are pipelines alone.
RUN apt-get update && apt-get install -y --no-install-recommends \
        libgl1 libglib2.0-0 gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
        gstreamer1.0-plugins-bad gstreamer1.0-libav \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# What else than tracking: --build-arg EXTRAS=track,mqtt,milvus; README.md has all of them.
ARG EXTRAS=track
RUN pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]" && rm -rf /src/*
RUN useradd --system --create-home --groups video reid
USER reid
WORKDIR /home/reid
ENTRYPOINT ["reid"]
CMD ["--help"]
