"""A tracked site as one page: who was where and when, which ways people took, what happened to the cameras."""

from sdk.report.build import build_report
from sdk.report.pictures import PictureWriter
from sdk.report.visits import Outage, Record, Visit, read_record

__all__ = ["Outage", "PictureWriter", "Record", "Visit", "build_report", "read_record"]
