"""Zones and lines of cameras, and what people do in them: who entered, left, or crossed, and how long they stayed."""

from sdk.zones.shapes import CameraZones, Shape, Zones, read_zones

__all__ = ["CameraZones", "Shape", "ZoneWatch", "Zones", "read_zones"]


def __getattr__(name: str):
    """`ZoneWatch` needs the extra `track`; files can be read without it."""
    if name == "ZoneWatch":
        from sdk.zones.watch import ZoneWatch

        return ZoneWatch
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
