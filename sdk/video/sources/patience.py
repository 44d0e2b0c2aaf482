"""How long a camera is waited for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds until something is held to be wrong with a live camera, and between attempts to reach it."""

    silence: float = 5.0
    """Without a frame, or an answer to a connection, until a camera counts as lost."""
    frozen: float = 20.0
    """Without any change in the picture but that of compression. A sensor's noise is more, in most cameras."""
    first_retry: float = 0.5
    """Between the loss and the first attempt to connect again; every further one waits twice as long …"""
    longest_retry: float = 30.0
    """… up to this."""
    steady: float = 10.0
    """A connection that has lasted this long was a good one: the next loss begins with `first_retry` again."""
    hung: float = 30.0
    """Without a sign of life from a driver that should have answered long ago, until its thread is given up."""
    closing: float = 1.0
    """For all readers together, when the run ends."""
