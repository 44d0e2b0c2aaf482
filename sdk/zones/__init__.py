"""Zones and lines of cameras, and what people do in them: who entered, left, or crossed, and how long they stayed."""

from sdk.zones.shapes import CameraZones, Shape, Zones, read_zones

__all__ = ["CameraZones", "Shape", "Zones", "read_zones"]
