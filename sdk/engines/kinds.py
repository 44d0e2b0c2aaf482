"""What kind of file it is by its first bytes, and the command that helps where it is not one that was wanted."""

import struct
from pathlib import Path

HEAD = 4096
"""Bytes that are looked at."""
AGAIN = "fetch the file itself: of a web page's address, the one that downloads it"
CONVERT = "convert it, saying whose it is: reid convert FILE -o ours.onnx --from PROJECT"
EXPORT = "export the network to ONNX with its own program, then: reid convert model.onnx -o ours.onnx --from PROJECT"


def explain_kind(path: str | Path) -> str | None:
    """One line on a file that is no model of ours and whose first bytes say what it is instead, and what to do.

    None where they say nothing: it may be a damaged file of the right kind.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    found = _kind(head, path)
    return f"{path}: is {found}" if found else None


def is_onnx(path: str | Path) -> bool:
    """Whether the name is that of an ONNX file, in upper or lower case."""
    return Path(path).suffix.lower() == ".onnx"


def _kind(head: bytes, path: Path) -> str | None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return f"empty; {AGAIN}"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file that it stands for: git lfs pull"
    if text.startswith((b"<!doctype html", b"<html")):
        return f"a web page, not a model; {AGAIN}"
    if text.startswith((b"<?xml", b"<net")):
        return f"XML, perhaps of OpenVINO; {EXPORT}"
    if head.startswith(b"\x89HDF"):
        return f"HDF5, perhaps of Keras; {EXPORT}"
    if head[4:8] == b"TFL3":
        return f"a TensorFlow Lite model; {EXPORT}"
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf")):
        return "a compressed archive; unpack it, and give the file in it"
    if _is_safetensors(head):
        return f"a file of safetensors, weights alone; {CONVERT}"
    if head[4:5] == b"{" and 0 < struct.unpack("<I", head[:4])[0] < 1 << 20:
        return "an engine behind metadata that are not ours, as Ultralytics writes it; " + EXPORT
    if head.startswith(b"PK\x03\x04"):
        return _zipped(path)
    return None


def _is_safetensors(head: bytes) -> bool:
    """They begin with the length of a JSON text, and the text."""
    return len(head) > 8 and head[8:9] == b"{" and 0 < struct.unpack("<Q", head[:8])[0] < 1 << 28


def _zipped(path: Path) -> str | None:
    """PyTorch's files are archives: of tensors, and then nothing is said, or of a program (TorchScript)."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return None
    if any("/code/" in name or name.startswith("code/") for name in names):
        return "a TorchScript program; save the network's state_dict() instead, or " + EXPORT
    if not any(name.endswith("data.pkl") for name in names):
        return "an archive; unpack it, and give the file in it"
    return None
