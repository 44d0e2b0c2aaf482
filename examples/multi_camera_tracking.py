"""Follow people over several cameras: python examples/multi_camera_tracking.py dock.mp4 lobby=rtsp://10.0.0.7/stream1

A camera is a video file, a folder of images, an RTSP address, usb:0, csi:0 or a GStreamer pipeline (docs/cameras.md).
"""

import argparse

from sdk import MultiCameraTracker, ReIdentifier
from sdk.drawing import draw_people
from sdk.video.sources import Sources

parser = argparse.ArgumentParser(description="Follow people over several cameras.")
parser.add_argument("sources", nargs="+")
parser.add_argument("--detector", help="yolox-nano, motion, hog or people.onnx; default: see `reid detector list`")
arguments = parser.parse_args()
reid = ReIdentifier()  # the model that ships; ReIdentifier("model.onnx") for your own
seen = set()

with Sources(arguments.sources, on_event=lambda event: print(event.kind, event.camera, event.detail)) as site:
    tracker = MultiCameraTracker(reid, arguments.detector)  # or any function: frame -> sv.Detections
    for time, frames in site:
        for camera, people in tracker.update(frames, time).items():
            for identity in people.data["identity"]:
                if identity and (identity, camera) not in seen:
                    seen.add((identity, camera))
                    print(f"{identity} is in {camera}")
            scene = draw_people(frames[camera], zip(people.xyxy, people.data["identity"], strict=True))
            # cv2.imshow(camera, scene); cv2.waitKey(1)     # where there is a screen
