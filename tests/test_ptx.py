"""The PTX that nvcc makes of the kernels, executed on the processor (tests/ptx.py), and that what executes it notices
what a GPU would not forgive. Skipped without nvcc, but for the last."""

import functools
import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sdk.engines.device_crops import CROP
from sdk.preprocess import resize
from tests.ptx import Fault, GlobalMemory, Program
from tests.test_native import brute_force

PLUGIN = Path(__file__).parents[1] / "converters" / "plugin"
NVCC = os.environ.get("CUDACXX") or shutil.which("nvcc")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The PTX of a file of converters/plugin for an architecture; made once."""
    if NVCC is None:
        pytest.skip("there is no nvcc here")
    folder = tmp_path_factory.mktemp("ptx")

    @functools.cache
    def compile_(source: str, architecture: int) -> str:
        made = folder / f"{source}.{architecture}.ptx"
        command = [NVCC, "-std=c++17", "-O3", "-ptx", f"-arch=compute_{architecture}", PLUGIN / source, "-o", made]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
        return made.read_text()

    return compile_


@pytest.mark.parametrize(
    ("architecture", "kernel", "stripes", "dim", "candidates", "half_out"),
    [
        (80, "HalfTileILi8ELi128E", 8, 128, 9, False),
        (80, "HalfTileILi8ELi128E", 5, 128, 41, True),
        (80, "HalfTileILi8ELi0E", 6, 40, 5, False),
        (80, "HalfTileILi16ELi128E", 13, 128, 5, False),
        (80, "HalfTileILi16ELi0E", 16, 72, 3, False),
        (80, "FloatTileILi8ELi128E", 8, 128, 4, False),
        (80, "FloatTileILi8ELi0E", 3, 24, 9, True),
        (80, "FloatTileILi16ELi128E", 16, 128, 2, False),
        (80, "FloatTileILi16ELi0E", 11, 40, 2, False),
        (75, "HalfTileILi8ELi128E", 7, 128, 9, False),  # the matrix instruction of half the depth
        (75, "HalfTileILi16ELi0E", 9, 40, 3, False),
    ],
)
def test_the_local_distance_that_nvcc_compiled(compiled, architecture, kernel, stripes, dim, candidates, half_out):
    """Every instance of the kernel, against float64: copies, nobody, a row outside, more than a warp takes at once."""
    rng = np.random.default_rng(stripes)
    # Numbers whose products are exact in single precision too, of stripes about as long as a model's.
    query, gallery = (rng.integers(-8, 9, (people, stripes, dim)) / 64 for people in (2, 6))
    gallery[1] = query[0]
    gallery[2] = 0
    dtype = np.float16 if kernel.startswith("Half") else np.float32
    query, gallery = query.astype(dtype), gallery.astype(dtype)
    wanted = rng.integers(0, 6, (2, candidates)).astype(np.int32)
    wanted[0, 0] = 1
    wanted[1, :2] = -1, 6
    expected = brute_force(query, gallery, np.where(wanted == 6, 0, wanted))
    expected[wanted == 6] = np.nan

    distance = np.full((2, candidates), 7, np.float16 if half_out else np.float32)
    memory = GlobalMemory()
    addresses = [memory.add(array) for array in (query, gallery, wanted)] + [memory.add(distance, written=True)]
    blocks = 1  # a query: 41 candidates are more than its warps take at once
    arguments = struct.pack("<4Q5i?3x", *addresses, len(gallery), candidates, stripes, dim, blocks, half_out)
    Program(compiled("kernel.cu", architecture), kernel).launch(memory, arguments, 2 * blocks, 128)
    np.testing.assert_allclose(distance, expected, rtol=1e-3 if half_out else 1e-6, atol=2e-5)


# The crops

BOXES = [(0, 0, 1, 90), (30, 7, 60, 67), (61, 71, 93, 90), (0, 10, 93, 40), (5, 5, 15, 15), (3, 2, 33, 42)]
"""x0, y0, x1, y1: 1 px wide, as large as a batch's, in a corner, as wide as the frame, enlarged, by a whole factor."""


@pytest.mark.parametrize(("height", "width"), [(20, 10), (60, 30), (7, 13)])
def test_the_crops_that_nvcc_compiled(compiled, height, width):
    frame = np.random.default_rng(0).integers(0, 256, (90, 93, 3), np.uint8)
    batch = np.zeros((len(BOXES), height, width, 3), np.uint8)
    memory = GlobalMemory()
    address = memory.add(frame)
    table = np.zeros(len(BOXES), CROP)
    for row, (x0, y0, x1, y1) in zip(table, BOXES, strict=True):
        row["pixels"], row["row_bytes"] = address + y0 * frame.strides[0] + 3 * x0, frame.strides[0]
        row["height"], row["width"] = y1 - y0, x1 - x0
    arguments = struct.pack("<2Q3i4x", memory.add(table), memory.add(batch, written=True), len(BOXES), height, width)
    program = Program(compiled("crop.cu", 75), "crop_kernel")
    program.launch(memory, arguments, -(-batch.size // 3 // 128), 128)
    expected = np.stack([resize(frame[y0:y1, x0:x1], (height, width)) for x0, y0, x1, y1 in BOXES])
    assert np.abs(batch.astype(int) - expected).max() <= 1


# What is noticed, in programs written by hand

HEAD = """
.visible .entry {name}(
	.param .align 8 .b8 {name}_param_0[16]
)
{{
	.reg .pred 	%p<9>;
	.reg .b16 	%rs<9>;
	.reg .f32 	%f<9>;
	.reg .b32 	%r<9>;
	.reg .b64 	%rd<9>;
	.shared .align 16 .b8 place[128];

	ld.param.u64 	%rd1, [{name}_param_0];
	ld.param.u32 	%r1, [{name}_param_0+8];
	cvta.to.global.u64 	%rd2, %rd1;
	mov.u32 	%r2, %tid.x;
	mul.wide.u32 	%rd3, %r2, 4;
	add.s64 	%rd4, %rd2, %rd3;
"""


def run(body: str, number: int = 0, words: int = 32, written: bool = True, shift: int = 0) -> np.ndarray:
    """One warp of HEAD and `body`: %rd4 is the address of the lane's own word, %r2 the lane, %r1 `number`."""
    memory, array = GlobalMemory(), np.arange(words, dtype=np.int32)
    address = memory.add(array, written=written, shift=shift)
    program = Program(HEAD.format(name="by_hand") + body + "\nret;\n}\n", "by_hand")
    program.launch(memory, struct.pack("<QiI", address, number, 0), 1, 32, longest=1000)
    return array


def test_lanes_part_and_meet_again():
    """Each does its way, and the exchange after it has all of them."""
    found = run(
        """
	setp.lt.s32 	%p1, %r2, %r1;
	@%p1 bra 	$FEW;
	mov.u32 	%r3, 100;
	bra.uni 	$ON;
$FEW:
	mov.u32 	%r3, 1;
$ON:
	add.s32 	%r3, %r3, %r2;
	shfl.sync.bfly.b32 	%r4|%p2, %r3, 31, 31, -1;
	st.global.u32 	[%rd4], %r4;""",
        number=5,
    )
    assert found.tolist() == [31 - i + (1 if 31 - i < 5 else 100) for i in range(32)]


def test_a_loop_of_another_length_a_lane_and_numbers_that_are_none():
    found = run("""
	mov.u32 	%r3, 0;
$AGAIN:
	add.s32 	%r3, %r3, 3;
	setp.gt.s32 	%p1, %r3, %r2;
	@!%p1 bra 	$AGAIN;
	mov.f32 	%f1, 0f7FC00000;
	mov.f32 	%f2, 0f3FC00000;
	max.f32 	%f3, %f1, %f2;
	setp.ne.f32 	%p2, %f1, %f2;
	setp.geu.f32 	%p3, %f1, %f2;
	selp.b32 	%r4, 1000, 0, %p2;
	selp.b32 	%r5, 100, 0, %p3;
	cvt.rni.s32.f32 	%r6, %f3;
	add.s32 	%r3, %r3, %r4;
	add.s32 	%r3, %r3, %r5;
	mad.lo.s32 	%r3, %r6, 10000, %r3;
	st.global.u32 	[%rd4], %r3;""")
    assert found.tolist() == [20100 + i // 3 * 3 + 3 for i in range(32)]


@pytest.mark.parametrize(
    ("body", "options", "words"),
    [
        ("ld.global.u32 %r3, [%rd4+4];", {}, "4 bytes at .* outside"),
        ("ld.global.u32 %r3, [%rd4+-4];", {}, "outside"),
        ("ld.global.v2.u32 {%r3, %r4}, [%rd4];", {}, "misaligned"),
        ("st.global.u32 [%rd4], %r2;", {"shift": 2}, "misaligned"),
        ("st.global.u32 [%rd4], %r2;", {"written": False}, "a write to an array to be read"),
        ("ld.global.nc.u32 %r3, [%rd4];", {}, "a cached read of what is written"),
        ("st.shared.u32 [place+128], %r2;", {}, "outside the 128 bytes of shared memory"),
        ("ld.shared.u32 %r3, [place];", {}, "nobody has written"),
        ("cvt.u32.u64 %r3, %rd3; st.shared.u32 [%r3], %r2; ld.shared.u32 %r4, [place];", {}, "no barrier between"),
        ("$END: bra.uni $END;", {}, "does not end"),
    ],
)  # fmt: skip
def test_memory_is_watched(body, options, words):
    with pytest.raises(Fault, match=words):
        run(body, **options)


def test_a_barrier_orders_what_a_warp_shares():
    found = run("""
	cvt.u32.u64 	%r3, %rd3;
	st.shared.u32 	[%r3], %r2;
	bar.warp.sync 	-1;
	xor.b32 	%r3, %r3, 4;
	ld.shared.u32 	%r4, [%r3];
	st.global.u32 	[%rd4], %r4;""")
    assert found.tolist() == [i ^ 1 for i in range(32)]


@pytest.mark.parametrize(
    "instruction",
    [
        "bar.warp.sync -1;",
        "shfl.sync.idx.b32 %r3, %r2, 0, 31, -1;",
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f1,%f2,%f3,%f4}, {%r3,%r4}, {%r5}, {%f1,%f2,%f3,%f4};",
    ],
)
def test_what_a_warp_does_together_it_does_together(instruction):
    run(instruction)
    parted = f"setp.lt.s32 %p1, %r2, 7; @%p1 bra $PAST; {instruction} $PAST: mov.u32 %r3, %r2;"
    with pytest.raises(Fault, match="parted"):
        run(parted)


def test_a_branch_that_is_said_to_be_uniform():
    with pytest.raises(Fault, match="some of a warp's lanes branch"):
        run("setp.lt.s32 %p1, %r2, 7; @%p1 bra.uni $ON; $ON: mov.u32 %r3, %r2;")


def test_an_instruction_that_is_not_known_is_named():
    with pytest.raises(NotImplementedError, match=r"popc\.b32 %r3, %r2"):
        run("popc.b32 %r3, %r2;")


def test_a_matrix_product_is_that_of_the_manual():
    """Row i of the left is i, column j of the right is 1 in its row j: the product's cell (i, j) is i."""
    found = run("""
	shr.u32 	%r3, %r2, 2;
	cvt.rn.f32.u32 	%f1, %r3;
	cvt.rn.f16.f32 	%rs1, %f1;
	cvt.u32.u16 	%r4, %rs1;
	shl.b32 	%r5, %r4, 16;
	or.b32 	%r4, %r4, %r5;
	mov.u32 	%r5, 0;
	and.b32 	%r6, %r2, 3;
	shl.b32 	%r6, %r6, 1;
	setp.eq.s32 	%p1, %r6, %r3;
	selp.b32 	%r5, 0x3C00, %r5, %p1;
	add.s32 	%r6, %r6, 1;
	setp.eq.s32 	%p1, %r6, %r3;
	selp.b32 	%r5, 0x3C000000, %r5, %p1;
	mov.f32 	%f1, 0f00000000;
	mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f2,%f3,%f4,%f5}, {%r4,%r4}, {%r5}, {%f1,%f1,%f1,%f1};
	cvt.rzi.s32.f32 	%r7, %f3;
	st.global.u32 	[%rd4], %r7;""")
    assert found.tolist() == [i // 4 for i in range(32)]
