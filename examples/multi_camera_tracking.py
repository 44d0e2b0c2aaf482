"""Follow people over several cameras: python examples/multi_camera_tracking.py dock.mp4 lobby.mp4

A camera is anything that OpenCV opens: a video file, an RTSP address, or the number of a USB camera.
"""

import sys

import cv2
import supervision as sv

from sdk import MultiCameraTracker, ReIdentifier

reid = ReIdentifier()  # the model that ships; ReIdentifier("model.onnx") for your own
tracker = MultiCameraTracker(reid, detector="motion")  # fixed cameras; or "hog", or any frame -> sv.Detections
cameras = {name: cv2.VideoCapture(int(name) if name.isdigit() else name) for name in sys.argv[1:]}
box, label = sv.BoxAnnotator(), sv.LabelAnnotator()
seen = set()

while cameras:
    frames = {}
    for name, capture in list(cameras.items()):
        there, frame = capture.read()
        if there:
            frames[name] = frame
        else:
            cameras.pop(name).release()
    for name, people in tracker.update(frames).items():
        for identity in people.data["identity"]:
            if identity and (identity, name) not in seen:
                seen.add((identity, name))
                print(f"{identity} is in {name}")
        scene = box.annotate(frames[name], people)
        scene = label.annotate(scene, people, labels=[identity or "?" for identity in people.data["identity"]])
        # cv2.imshow(name, scene); cv2.waitKey(1)     # where there is a screen
