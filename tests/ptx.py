"""Executes the PTX that nvcc makes of a kernel, on the processor, and checks what a GPU would not forgive.

PTX is what a GPU's code is made from, after nvcc's front end and optimiser: running it tests what they made of the
source too. All lanes of all blocks go along together. The next instruction is the one of the lowest number that any
lane stands at, and the lanes that stand there execute it; a register is a NumPy array of one value a lane. A lane that
is ahead waits, so that lanes that parted at a branch meet again where their ways join.

`Fault` is raised for
- a read or write outside the arrays that were given, a write to one that is read only, a misaligned address;
- an exchange, a matrix instruction or a barrier where a warp's lanes have parted, or a branch that is said to be the
  same for all and is not;
- a read of shared memory that nobody has written, or that another lane has written since the warp's last barrier.

It says nothing about speed, nor about the order in which warps run. What it does not know it refuses by name.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LANES = 32
FIRST_ADDRESS = 1 << 33
"""Of global memory: an address that has lost its upper half is outside."""
ENDED = np.iinfo(np.int64).max

TYPES = {f"{kind}{bits}": np.dtype(f"{code}{bits // 8}") for kind, code in zip("usbf", "uiuf", strict=True)
         for bits in (8, 16, 32, 64) if (kind, bits) != ("f", 8)} | {"pred": np.dtype(bool)}  # fmt: skip


class Fault(Exception):
    """What the kernel must not do; with the instruction that did it."""


# Memory


class GlobalMemory:
    """Arrays of the host at addresses of their own, far from each other."""

    def __init__(self):
        self._begins, self._arrays, self._written = [], [], []

    def add(self, array: np.ndarray, *, written: bool = False, shift: int = 0) -> int:
        """The address of an array, a multiple of 256 and `shift` more. written: the kernel may write to it."""
        if not array.flags.c_contiguous:
            raise ValueError("an array in a GPU's memory is contiguous")
        end = self._begins[-1] + len(self._arrays[-1]) if self._begins else FIRST_ADDRESS
        self._begins.append((end // 4096 + 2) * 4096 + shift)
        self._arrays.append(array.reshape(-1).view(np.uint8))
        self._written.append(written)
        return self._begins[-1]

    def places(self, address: np.ndarray, size: int, access: str):
        """(array, lanes, offsets) for the arrays that the lanes' `size` bytes lie in; access: "ld", "ld.nc" or "st"."""
        owner = np.searchsorted(np.array(self._begins), address, "right") - 1
        for i in np.unique(owner):
            lanes = np.flatnonzero(owner == i)
            offsets = address[lanes] - self._begins[max(i, 0)]
            outside = lanes if i < 0 else lanes[offsets + size > len(self._arrays[i])]
            if len(outside):
                raise Fault(f"{size} bytes at {address[outside[0]]:#x} are outside the arrays")
            if self._written[i] != (access == "st") and access != "ld":
                raise Fault("a write to an array to be read" if access == "st" else "a cached read of what is written")
            yield self._arrays[i], lanes, offsets


class SharedMemory:
    """Of all blocks; who has written each byte, and after how many of its warp's barriers."""

    def __init__(self, size: int, block: np.ndarray, thread: np.ndarray):
        self._block, self._thread, self._size = block, thread, size
        blocks = int(block[-1]) + 1
        self._bytes = np.zeros((blocks, size), np.uint8)
        self._writer = np.full((blocks, size), -1)
        self._written = np.zeros((blocks, size), np.int64)

    def _index(self, lanes: np.ndarray, address: np.ndarray, size: int):
        if ((address < 0) | (address + size > self._size)).any():
            raise Fault(f"outside the {self._size} bytes of shared memory")
        return self._block[lanes, None], address[:, None] + np.arange(size)

    def read(self, lanes: np.ndarray, address: np.ndarray, size: int, barriers: np.ndarray) -> np.ndarray:
        index = self._index(lanes, address, size)
        writer, own = self._writer[index], self._thread[lanes, None]
        if (writer < 0).any():
            raise Fault("a read of shared memory that nobody has written")
        same_warp = writer // LANES == own // LANES
        ordered = same_warp & (self._written[index] < barriers[lanes, None])
        if not ((writer == own) | ordered).all():
            raise Fault("a read of what another lane has written, with no barrier between")
        return self._bytes[index]

    def write(self, lanes: np.ndarray, address: np.ndarray, values: np.ndarray, barriers: np.ndarray) -> None:
        index = self._index(lanes, address, values.shape[1])
        self._bytes[index] = values
        self._writer[index] = self._thread[lanes, None]
        self._written[index] = barriers[lanes, None]


# The program


@dataclass(frozen=True)
class Instruction:
    text: str
    name: list[str]
    """["ld", "global", "v4", "u32"]"""
    operands: list[str]
    guard: str
    """The predicate that a lane must have to do it; empty: all do it."""
    unless: bool
    """The lanes that do not have it."""


class Program:
    """One kernel of a PTX file."""

    def __init__(self, ptx: str, name: str):
        """name: a part of the kernel's mangled name that no other kernel's has."""
        found = [
            part
            for part in re.split(r"^(?=(?:\.visible )?\.entry )", ptx, flags=re.M)[1:]
            if name in part.split("(")[0]
        ]
        if len(found) != 1:
            raise ValueError(f"{len(found)} kernels are called {name}")
        head, _, body = found[0].partition("\n{")
        body = re.sub(r"//.*", "", body[: body.index("\n}")])
        self.parameters = int(re.search(r"\.param .*\[(\d+)\]", head).group(1))
        """Bytes of the one parameter, a struct."""
        self.registers = {prefix: TYPES[kind] for kind, prefix in re.findall(r"\.reg \.(\w+)\s+(%\w+)<", body)}
        self.shared: dict[str, int] = {}
        self.shared_size = 0
        for align, symbol, size in re.findall(r"\.shared \.align (\d+) \.b8 (\w+)\[(\d+)\]", body):
            self.shared[symbol] = -(-self.shared_size // int(align)) * int(align)
            self.shared_size = self.shared[symbol] + int(size)
        self.instructions: list[Instruction] = []
        self.labels: dict[str, int] = {}
        for label, text in re.findall(r"(\$\w+):|([^;:]+);", body):
            if label:
                self.labels[label] = len(self.instructions)
                continue
            text = " ".join(text.split()).lstrip("{} ")
            if not text.startswith("."):
                self.instructions.append(_instruction(text))

    def launch(self, memory: GlobalMemory, parameters: bytes, blocks: int, threads: int, longest: int = 100_000) -> int:
        """Run all blocks; how many instructions the warps have issued.

        parameters: the struct that the kernel takes. longest: instructions after which it has lost its way. Raises
        `Fault` as the module says, and `NotImplementedError` naming an instruction that is not known here.
        """
        if len(parameters) != self.parameters:
            raise ValueError(f"the kernel takes a struct of {self.parameters} bytes, not {len(parameters)}")
        return _Run(self, memory, parameters, blocks, threads).run(longest)


def _instruction(text: str) -> Instruction:
    guard, rest = re.fullmatch(r"(?:@(!?%\w+)\s+)?(.*)", text).groups()
    name, _, operands = rest.partition(" ")
    parts = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s|]+", operands)
    return Instruction(text, name.split("."), parts, (guard or "").lstrip("!"), (guard or "").startswith("!"))


# Execution


def _rounded(value: np.ndarray, kind: np.dtype, rounding: str) -> np.ndarray:
    round_ = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}[rounding]
    limits = np.iinfo(kind)
    return np.clip(np.nan_to_num(round_(value.astype(np.float64))), limits.min, limits.max).astype(kind)


def _compare(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    unordered = a.dtype.kind == "f" and np.isnan(a) | np.isnan(b)
    if name == "ne":  # of numbers: numpy says that a NaN differs, PTX that it does not
        return (a != b) & ~unordered if a.dtype.kind == "f" else a != b
    simple = {"eq": np.equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}
    if name in simple:
        return simple[name](a, b)
    special = {"num": ~np.asarray(unordered), "nan": np.asarray(unordered)}
    return special[name] if name in special else simple.get(name[:-1], np.not_equal)(a, b) | unordered  # "ltu", "neu"


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind == "f":
        return a / b
    quotient = np.abs(a) // np.where(b == 0, 1, np.abs(b))  # towards 0, as C's
    return np.where((a < 0) != (b < 0), np.negative(quotient), quotient)


ARITHMETIC: dict[str, Callable] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": _divided, "neg": np.negative, "abs": np.abs,
    "rem": lambda a, b: a - _divided(a, b) * b, "rcp": lambda a: 1 / a,
    "min": np.fmin, "max": np.fmax,  # of a number and NaN: the number
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert,
    "sqrt": np.sqrt, "ex2": np.exp2, "mad": lambda a, b, c: a * b + c,
    "fma": lambda a, b, c: (a.astype(np.float64) * b + c).astype(a.dtype),
}  # fmt: skip
"""By the instruction's name, of values of its type."""


class _Run:
    def __init__(self, program: Program, memory: GlobalMemory, parameters: bytes, blocks: int, threads: int):
        if threads % LANES:
            raise ValueError("a block is whole warps")
        self.program, self.memory, self.parameters = program, memory, parameters
        count = blocks * threads
        number = np.arange(count)
        self.special = {"%tid.x": number % threads, "%ctaid.x": number // threads, "%ntid.x": np.full(count, threads)}
        self.special["%nctaid.x"] = np.full(count, blocks)
        self.shared = SharedMemory(program.shared_size, number // threads, number)
        self.registers: dict[str, np.ndarray] = {}
        self.at = np.zeros(count, np.int64)
        """The instruction at which each lane stands."""
        self.barriers = np.zeros(count, np.int64)
        """That each lane has come to."""

    def run(self, longest: int) -> int:
        issued = 0
        for _ in range(longest):
            next_ = int(self.at.min())
            if next_ >= len(self.program.instructions):
                return issued
            instruction = self.program.instructions[next_]
            here = self.at == next_
            issued += int(here.reshape(-1, LANES).any(1).sum())
            self.at[here] += 1
            doing = here
            if instruction.guard:
                doing = here & (self.read(instruction.guard, TYPES["pred"]) != instruction.unless)
            try:
                with np.errstate(all="ignore"):
                    self.execute(instruction, here, doing)
            except Fault as fault:
                raise Fault(f"{instruction.text}: {fault}") from None
            except (KeyError, NotImplementedError) as error:
                raise NotImplementedError(f"{instruction.text} ({error})") from error
        raise Fault("the kernel does not end")

    # Registers hold bits; an instruction says what they mean.

    def read(self, operand: str, kind: np.dtype) -> np.ndarray:
        """An operand's values as `kind`: of a register, a special register, a constant or a shared array's address."""
        if operand in self.special:
            return self.special[operand].astype(kind)
        if operand in self.program.shared:
            return np.full(self.at.shape, self.program.shared[operand], kind)
        if operand.startswith("%"):
            bits = self._register(operand)
            if bits.dtype.itemsize > kind.itemsize:  # the lower half
                bits = bits.astype(f"u{kind.itemsize}")
            return bits.view(kind)
        if operand.startswith(("0f", "0d")):
            value = struct.unpack(">f" if operand[1] == "f" else ">d", bytes.fromhex(operand[2:]))[0]
            return np.full(self.at.shape, value, f"f{4 if operand[1] == 'f' else 8}").view(kind)
        wide = np.array([int(operand, 0) & (1 << 64) - 1], np.uint64)
        return np.broadcast_to(
            wide.astype(f"u{kind.itemsize}").view(kind) if kind.kind != "b" else wide != 0, self.at.shape
        )

    def write(self, register: str, value: np.ndarray, doing: np.ndarray) -> None:
        held = self._register(register)
        if value.dtype.itemsize < held.dtype.itemsize:
            value = value.astype(f"{value.dtype.kind}{held.dtype.itemsize}")  # a byte loaded into a wider register
        np.copyto(held, value.view(held.dtype), where=doing)

    def _register(self, name: str) -> np.ndarray:
        if name not in self.registers:
            kind = self.program.registers[name.rstrip("0123456789")]
            self.registers[name] = np.zeros(self.at.shape, kind if kind.kind == "b" else f"u{kind.itemsize}")
        return self.registers[name]

    # Instructions

    def execute(self, instruction: Instruction, here: np.ndarray, doing: np.ndarray) -> None:
        name, operands = instruction.name, instruction.operands
        operation, kind = name[0], TYPES.get(name[-1])
        special = getattr(self, f"_{operation}", None)
        if special is not None:
            special(name, operands, here, doing)
        elif operation in ("mov", "cvta"):
            target = self._register(operands[0]).dtype
            self.write(operands[0], self.read(operands[1], target), doing)
        elif operation in ("mul", "mad") and "wide" in name:
            wide = TYPES[f"{name[-1][0]}{16 * kind.itemsize}"]
            a, b = (self.read(operand, kind).astype(wide) for operand in operands[1:3])
            self.write(operands[0], a * b + (self.read(operands[3], wide) if operation == "mad" else 0), doing)
        elif operation in ARITHMETIC and "hi" not in name and "sat" not in name and "ftz" not in name:
            self.write(
                operands[0], ARITHMETIC[operation](*(self.read(operand, kind) for operand in operands[1:])), doing
            )
        else:
            raise NotImplementedError("not known here")

    def _bra(self, name, operands, here, doing):
        standing, branching = (lanes.reshape(-1, LANES) for lanes in (here, doing))
        if "uni" in name and (standing != branching)[branching.any(1)].any():
            raise Fault("some of a warp's lanes branch and others do not")
        self.at[doing] = self.program.labels[operands[0]]

    def _ret(self, name, operands, here, doing):
        self.at[doing] = ENDED

    def _bar(self, name, operands, here, doing):
        if name[1] != "warp":
            raise NotImplementedError("barriers of a block")
        self._together(here, doing)
        self.barriers[doing] += 1

    def _together(self, here: np.ndarray, doing: np.ndarray) -> None:
        """All lanes of these warps that have not ended, and none that has it guarded away."""
        living = (self.at != ENDED).reshape(-1, LANES)
        there = doing.reshape(-1, LANES)
        if (there != living)[there.any(1)].any() or (doing != here).any():
            raise Fault("the lanes of a warp have parted")

    def _setp(self, name, operands, here, doing):
        kind = TYPES[name[-1]]
        found = _compare(name[1], self.read(operands[1], kind), self.read(operands[2], kind))
        if len(operands) > 3:
            found = ARITHMETIC[name[2]](found, self.read(operands[3], TYPES["pred"]))
        self.write(operands[0], found, doing)

    def _selp(self, name, operands, here, doing):
        a, b = (self.read(operand, TYPES[name[-1]]) for operand in operands[1:3])
        self.write(operands[0], np.where(self.read(operands[3], TYPES["pred"]), a, b), doing)

    def _shl(self, name, operands, here, doing):
        kind, distance = TYPES[name[-1]], self.read(operands[2], TYPES["u32"])
        shift = np.left_shift if name[0] == "shl" else np.right_shift
        most = 8 * kind.itemsize - 1
        value = shift(self.read(operands[1], kind), np.minimum(distance, most).astype(kind))
        beyond = distance > most
        if kind.kind == "u":
            value = np.where(beyond, kind.type(0), value)  # a sign stays, as it is shifted by all its bits but one
        self.write(operands[0], value, doing)

    _shr = _shl

    def _bfi(self, name, operands, here, doing):
        u64 = TYPES["u64"]
        field, into, at, length = (self.read(operand, TYPES["u32"]).astype(u64) for operand in operands[1:])
        mask = ((u64.type(1) << length) - u64.type(1)) << at
        self.write(operands[0], ((into & ~mask) | ((field << at) & mask)).astype(np.uint32), doing)

    def _cvt(self, name, operands, here, doing):
        to, from_ = TYPES[name[-2]], TYPES[name[-1]]
        value = self.read(operands[1], from_)
        if from_.kind == "f" and to.kind != "f":
            value = _rounded(value, to, name[1])
        elif "sat" in name:
            value = np.clip(value, np.iinfo(to).min, np.iinfo(to).max)
        self.write(operands[0], value.astype(to), doing)

    def _shfl(self, name, operands, here, doing):
        self._together(here, doing)
        source, which = self.read(operands[-4], TYPES["b32"]), self.read(operands[-3], TYPES["u32"]) % LANES
        lane = np.arange(len(self.at))
        wanted = lane // LANES * LANES + {"idx": which, "bfly": lane % LANES ^ which}[name[2]]
        if not doing[wanted[doing]].all():
            raise Fault("a value of a lane that has ended")
        self.write(operands[0], source[wanted], doing)
        if len(operands) > 5:  # %r|%p: whether there was such a lane
            self.write(operands[1], np.ones(self.at.shape, bool), doing)

    def _mma(self, name, operands, here, doing):
        """From the PTX manual, "Matrix Fragments for mma.m16n8k8" and "… m16n8k16", halves in, sums in float."""
        self._together(here, doing)
        if not (doing == doing.reshape(-1, LANES).any(1).repeat(LANES)).all():
            raise Fault("lanes of a warp have ended")
        d, a, b, c = ([part.strip() for part in operand.strip("{}").split(",")] for operand in operands)
        warps, lane = len(self.at) // LANES, np.arange(LANES)
        group, pair = lane // 4, 2 * (lane % 4)

        def halves(register: str) -> np.ndarray:
            return self.read(register, TYPES["u32"]).view(np.float16).astype(np.float64).reshape(warps, LANES, 2)

        left, right = np.zeros((warps, 16, 8 * len(b))), np.zeros((warps, 8 * len(b), 8))
        for i, register in enumerate(a):
            for half in (0, 1):
                left[:, group + 8 * (i % 2), pair + half + 8 * (i // 2)] = halves(register)[..., half]
        for i, register in enumerate(b):
            for half in (0, 1):
                right[:, pair + half + 8 * i, group] = halves(register)[..., half]
        product = left @ right
        for i, (register, added) in enumerate(zip(d, c, strict=True)):
            cell = product[:, group + 8 * (i // 2), pair + i % 2].reshape(-1)
            self.write(register, (cell + self.read(added, TYPES["f32"])).astype(np.float32), doing)

    def _ld(self, name, operands, here, doing):
        space, kind = name[1], TYPES[name[-1]]
        registers = [part.strip() for part in operands[0].strip("{}").split(",")]
        size = kind.itemsize * len(registers)
        if space == "param":
            offset = int(operands[1].strip("[]").partition("+")[2] or 0)
            values = np.frombuffer(self.parameters[offset : offset + size], np.uint8)
            values = np.broadcast_to(values, (len(self.at), size))
        else:
            lanes, address = self._addresses(operands[1], space, size, doing)
            values = np.zeros((len(self.at), size), np.uint8)
            if space == "shared":
                values[lanes] = self.shared.read(lanes, address, size, self.barriers)
            elif space == "global":
                access = "ld.nc" if "nc" in name else "ld"
                for array, which, offsets in self.memory.places(address, size, access):
                    values[lanes[which]] = array[offsets[:, None] + np.arange(size)]
            else:
                raise NotImplementedError(space)
        for i, register in enumerate(registers):
            part = np.ascontiguousarray(values[:, i * kind.itemsize : (i + 1) * kind.itemsize])
            self.write(register, part.view(kind).reshape(-1), doing)

    def _st(self, name, operands, here, doing):
        space, kind = name[1], TYPES[name[-1]]
        registers = [part.strip() for part in operands[1].strip("{}").split(",")]
        parts = [
            np.ascontiguousarray(self.read(register, kind)).view(np.uint8).reshape(len(self.at), -1)
            for register in registers
        ]
        values = np.concatenate(parts, axis=1)
        lanes, address = self._addresses(operands[0], space, values.shape[1], doing)
        if space == "shared":
            self.shared.write(lanes, address, values[lanes], self.barriers)
        elif space == "global":
            for array, which, offsets in self.memory.places(address, values.shape[1], "st"):
                array[offsets[:, None] + np.arange(values.shape[1])] = values[lanes[which]]
        else:
            raise NotImplementedError(space)

    def _addresses(self, operand: str, space: str, size: int, doing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the lanes that do it, their numbers and their addresses, each a multiple of the size."""
        base, _, offset = operand.strip("[]").partition("+")
        kind = TYPES["u64" if space == "global" else "u32"]
        lanes = np.flatnonzero(doing)
        address = self.read(base, kind)[lanes].astype(np.int64) + int(offset or 0)
        if (address % size).any():
            raise Fault(f"{size} bytes at {address[address % size != 0][0]:#x}, which is misaligned")
        return lanes, address
