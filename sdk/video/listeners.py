"""What the terminal is told of a run."""

from sdk.events import Event, Listeners
from sdk.terminal import notes

__all__ = ["Listeners", "print_trouble"]


def print_trouble(event: Event) -> None:
    """Note on the terminal what happens to cameras."""
    detail = event.detail
    text = {
        "camera_lost": lambda: f"lost: {detail['reason']}",
        "camera_back": lambda: f"is back after {detail['seconds']:.1f} s",
        "camera_frozen": lambda: f"its picture stands still since {detail['seconds']:.0f} s; it is not tracked",
        "camera_changed": lambda: "resolution changed from {1}×{0} to {3}×{2}".format(
            *detail["before"], *detail["now"]
        ),
        "camera_clock": lambda: detail["what"],
    }
    if event.kind in text:
        notes.print(f"{event.camera or 'all cameras'}: {text[event.kind]()}")
