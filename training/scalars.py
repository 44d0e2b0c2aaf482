"""Losses and figures for TensorBoard."""

from pathlib import Path

from sdk.errors import missing_package


class Scalars:
    """Numbers by name and step, for TensorBoard; without a writer they go nowhere."""

    def __init__(self, writer=None):
        self.writer = writer

    def add(self, step: int, values: dict[str, float]) -> None:
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name.replace(" ", "_"), value, step)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def open_scalars(folder: Path, wanted: bool, first_step: int) -> Scalars:
    """Scalars written to `folder` if they are wanted; those of a resumed run's lost steps are withdrawn.

    Raises `MissingPackageError` if they are wanted and tensorboard is not installed.
    """
    if not wanted:
        return Scalars()
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise missing_package("tensorboard", "tensorboard", "--tensorboard") from None
    return Scalars(SummaryWriter(str(folder), purge_step=first_step))
