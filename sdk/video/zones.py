"""`zones.csv` in a run's folder: who was in which zone, by the names that its events say last."""

from sdk.video.history import EVENTS
from sdk.video.run_folder import RunFolder
from sdk.zones.ledger import read_ledger
from sdk.zones.watch import TABLE, write_table

__all__ = ["TABLE", "write_zones"]


def write_zones(run: RunFolder) -> None:
    """Write it anew, of the events in the folder, whose writer has ended. Raises `DataError` if that cannot be done."""
    rows = read_ledger(run.path / EVENTS)
    with run.rewrite([TABLE]) as files:
        write_table(files[TABLE], rows)
