# NVIDIA Jetson with JetPack 6 (Ubuntu 22.04, Python 3.10). This file has not been built yet.
#
# BASE is NVIDIA's JetPack image of the release that the board runs (`cat /etc/nv_tegra_release`), with the address of the
# container registry that NVIDIA names for it:
#
#   docker build -f packaging/docker/jetpack6.Dockerfile --build-arg BASE=…/l4t-jetpack:… -t reid .
#   docker run -d --restart always --init --runtime nvidia --network host \
#       -v /tmp/argus_socket:/tmp/argus_socket -v /etc/reid:/etc/reid:ro -v /var/lib/reid:/out \
#       --entrypoint sh reid -c 'exec reid track @/etc/reid/cameras.txt --output "/out/$(date +%F_%H-%M-%S)"'
#
# Every start writes into a folder of its own, after a crash too: what a run before it wrote is kept.
# /tmp/argus_socket is for cameras on the ribbon cable (csi:0); USB cameras: --device /dev/video0. Models run on the CPU
# from .onnx files. Hardware decoding is a pipeline as source: see docs/cameras.md.
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends \
        python3 python3-venv gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
        gstreamer1.0-plugins-bad gstreamer1.0-libav \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN python3 -m venv /opt/reid && /opt/reid/bin/pip install --no-cache-dir -c constraints.txt '.[track]' && rm -rf /src/*
ENV PATH=/opt/reid/bin:$PATH
RUN useradd --system --create-home --groups video reid
USER reid
WORKDIR /home/reid
ENTRYPOINT ["reid"]
CMD ["--help"]
