# An NVIDIA GPU: a Jetson with JetPack 6 or 7, a PC or a server. This file has not been built yet.
#
# CUDA and TensorRT, with its Python module, are those of BASE, an image of NVIDIA's, with the address of the container
# registry that NVIDIA names for it. On a Jetson it is that of the release that the board runs (`cat
# /etc/nv_tegra_release`): …/l4t-jetpack:r36… for JetPack 6; for JetPack 7, and for a PC or server, …/tensorrt:…-py3 with a
# TensorRT from 10.3 on. Without TensorRT in it the build stops.
#
#   docker build -f packaging/docker/gpu.Dockerfile --build-arg BASE=… -t reid .
#   docker run --rm --runtime nvidia --gpus all reid doctor
#   docker run --rm --runtime nvidia --gpus all -v /var/lib/reid:/var/lib/reid reid convert \
#       /var/lib/reid/model.onnx -o /var/lib/reid/model.engine
#   docker run -d --restart always --init --runtime nvidia --gpus all --network host \
#       -v /tmp/argus_socket:/tmp/argus_socket -v /etc/reid:/etc/reid:ro -v /var/lib/reid:/var/lib/reid \
#       --env-file /etc/reid/reid.env reid run /etc/reid/site.yaml
#
# site.yaml is as examples/site.yaml, with `model: /var/lib/reid/model.engine`; its passwords are in reid.env. An engine is
# built on the machine that runs it, by the TensorRT of this image. /var/lib/reid belongs to the container's
# user: chown 10001 /var/lib/reid. Every start writes into a folder of its own, after a crash too: what a run before it
# wrote is kept. /tmp/argus_socket is for a Jetson's cameras on the ribbon cable (csi:0), leave it away elsewhere; USB
# cameras: --device /dev/video0. Hardware decoding is a pipeline as source: docs/cameras.md. Steps and trouble:
# docs/jetson.md.
ARG BASE

# The kernel and the plugin, with the compiler and TensorRT's headers, which the second stage leaves behind.
FROM ${BASE} AS native
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY CMakeLists.txt ./
COPY converters/plugin converters/plugin
ENV CUDACXX=/usr/local/cuda/bin/nvcc
RUN cmake -S . -B /build && cmake --build /build && cmake --install /build --prefix /native \
    && test -f /native/lib/libaligned_reid_plugin.so

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends \
        python3 python3-venv libgl1 libglib2.0-0 gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
        gstreamer1.0-plugins-bad gstreamer1.0-libav \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# What else than tracking: --build-arg EXTRAS=track,convert,mqtt; README.md has all of them.
ARG EXTRAS=track
# The environment sees the system's packages: TensorRT's Python module is one.
RUN /usr/bin/python3 -m venv --system-site-packages /opt/reid \
    && /opt/reid/bin/pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]" && rm -rf /src/* \
    && /opt/reid/bin/python -c 'import tensorrt; print("TensorRT", tensorrt.__version__)'
COPY --from=native /native/lib/ /opt/reid/lib/
ENV PATH=/opt/reid/bin:$PATH
RUN useradd --system --create-home --uid 10001 --groups video reid
USER reid
WORKDIR /home/reid
ENTRYPOINT ["reid"]
CMD ["--help"]
