"""A length of time as people write it: 30d, 12h, 90m, 45s, 2w."""

import re

from sdk.errors import GalleryError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def age_in_seconds(age: str, never: bool = False) -> float:
    """ "30d" → seconds. never: "0" is one, too. Raises `GalleryError` for anything else."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw])", age.strip(), re.ASCII)
    if never and age.strip() == "0":
        return 0.0
    if found is None:
        raise GalleryError(f"'{age}' is no length of time; write it with its unit, as 30d, 12h, 90m or 45s")
    return float(found[1]) * UNITS[found[2]]
