"""Files of safetensors: read as they are meant, and refused wherever a byte is not accounted for."""

import contextlib
import json
import random
import struct

import pytest
import torch

from converters.authors import Authors
from converters.foreign_checkpoint import assemble
from converters.sources import open_source
from sdk import ReIdentifier
from sdk.errors import DataError, EngineError
from training.backbones import build_backbone, load_weights
from training.safetensors import DTYPES, is_safetensors, read_safetensors

KINDS = {dtype: kind for kind, dtype in DTYPES.items()}


def written(path, tensors, more=b"", **changes):
    """A file of them; changes: of the first entry of its header."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        content = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        places = [len(body), len(body) + len(content)]
        header[name] = {"dtype": KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": places}
        body += content
    header[next(iter(tensors))] |= changes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body + more)
    return path


@pytest.fixture
def tensors():
    torch.manual_seed(0)
    numbers = {kind: (torch.randn(3, 5) * 50).to(dtype) for kind, dtype in DTYPES.items()}
    return {"first": torch.randn(2, 3, 1)} | numbers | {"number": torch.tensor(7), "none": torch.empty(0, 4)}


def test_every_tensor_comes_back_as_it_was(tensors, tmp_path):
    path = written(tmp_path / "model.safetensors", tensors)
    assert is_safetensors(path)
    found = read_safetensors(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    torch.save(tensors, path)
    assert not is_safetensors(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data_offsets": [0, 28]}, r"has 28 bytes"),
        ({"data_offsets": [4, 28]}, "first does not begin where"),
        ({"data_offsets": [-4, 20]}, "first does not begin where"),
        ({"data_offsets": [0.0, 24.0]}, "slice indices"),
        ({"data_offsets": [0]}, ""),
        ({"data_offsets": "ab"}, ""),
        ({"shape": [2, 4, 1]}, "has 24 bytes"),
        ({"shape": [2**40, 2**40]}, "has 24 bytes"),
        ({"shape": [-2, -3, 1]}, "is none"),
        ({"shape": [2, True, 3]}, "is none"),
        ({"shape": 6}, "not iterable"),
        ({"dtype": "F8_E4M3"}, "'F8_E4M3' are not known here"),
        ({"dtype": ["F32"]}, "unhashable"),
    ],
)
def test_a_header_that_does_not_hold_is_refused(changes, said, tensors, tmp_path):
    with pytest.raises(DataError, match=f"model.safetensors: a damaged file of safetensors .*{said}"):
        read_safetensors(written(tmp_path / "model.safetensors", tensors, **changes))


def test_what_is_cut_or_left_over_is_refused(tensors, tmp_path):
    path = written(tmp_path / "model.safetensors", tensors)
    whole = path.read_bytes()
    for content in (whole[:-1], whole + b"\0", whole[:60], whole[:9], b"\xff" * 8 + whole[8:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"was it copied whole\?"):
            read_safetensors(path)
    for text in (b"{", b"{}", b"{}[", b'{"a": 1}', b"{" * 100_000, b'{"a": {"dtype": "F32"}}', b'{"\xff": 1}'):
        path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0")
        with pytest.raises(DataError, match="damaged file of safetensors"):
            read_safetensors(path)
    rng = random.Random(0)
    for _ in range(300):
        content = bytearray(whole)
        content[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice((len(whole), rng.randrange(10, len(whole))))])
        with contextlib.suppress(DataError):  # of the numbers alone nothing can be told
            assert read_safetensors(path).keys()


def test_a_network_in_such_a_file_is_read_as_from_any_other(tmp_path):
    network = build_backbone("resnet18", 8)
    path = written(tmp_path / "model.safetensors", network.state_dict())
    said = Authors(project="torchreid", input_size=(64, 32))
    found = assemble(path, said).module.backbone.state_dict()
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())
    other = build_backbone("resnet18", 8)
    assert load_weights(other, path) == ([], [])
    assert torch.equal(other.conv1.weight, network.conv1.weight)
    assert "torchreid" in open_source(path, False, said).notes[0]
    with pytest.raises(DataError, match="say whose it is, with --from"):
        open_source(path, False, Authors())
    with pytest.raises(EngineError, match=r"a file of safetensors, weights alone; .*reid convert"):
        ReIdentifier(path)
