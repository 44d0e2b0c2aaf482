"""Where frames come from: files, folders of images, network and USB cameras, GStreamer pipelines; several in step."""

from sdk.video.sources.address import Address, camera_names, parse_address, source_files
from sdk.video.sources.patience import Patience
from sdk.video.sources.report import CameraReport, trouble_table
from sdk.video.sources.site import Sources

VideoFiles = Sources
"""The name from before there were cameras."""

__all__ = [
    "Address",
    "CameraReport",
    "Patience",
    "Sources",
    "VideoFiles",
    "camera_names",
    "parse_address",
    "source_files",
    "trouble_table",
]
