"""The names that tracks have in the end, after every later change of mind and every merge."""


class FinalNames:
    """A listener of a tracker."""

    def __init__(self):
        self._moved: dict[tuple[str, int], str] = {}
        self._became: dict[str, str] = {}

    def __call__(self, event) -> None:
        if event.kind == "identified":
            self._moved[event.camera, event.track] = event.identity
        elif event.kind == "merged":
            self._became[event.detail["other"]] = event.identity
            self._became.pop(event.identity, None)  # whoever is merged into is there, so no chain ends where it began

    def of(self, camera: str, track: int, recorded: str | None) -> str | None:
        """Of a track whose record says `recorded`."""
        name = self._moved.get((camera, track), recorded)
        while name in self._became:
            name = self._became[name]
        return name
