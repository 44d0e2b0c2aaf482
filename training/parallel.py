"""Data-parallel training under torchrun, such that several processes compute what one would on the whole batch.

The outputs of all processes are gathered before the losses, so that hard pairs are mined over the whole batch, and
batch normalisation takes its statistics over all of it. Every process computes the whole loss, but its gradients reach
only its own crops: their sum over the processes is the gradient.
"""

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from training.distances import at_least_float32
from training.model import Outputs


@dataclass(frozen=True)
class Processes:
    """Which process this is, and of how many."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process reports and writes files."""
        return self.rank == 0

    def part(self, batch: list) -> list:
        """This process's share of a batch, whose length is a multiple of `count`."""
        size = len(batch) // self.count
        return batch[self.rank * size : (self.rank + 1) * size]


ALONE = Processes()


def join_processes(device: str) -> tuple[Processes, str]:
    """Join the processes that torchrun started: (which one this is, its device). Without torchrun: alone."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        return ALONE, device
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Processes(distributed.get_rank(), distributed.get_world_size()), device


def leave_processes(processes: Processes) -> None:
    """Wait for the others and end the connection to them."""
    if processes.count > 1 and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


class _Gather(torch.autograd.Function):
    """`[n, …]` of every process → `[count · n, …]`; the gradient of the own rows goes back."""

    @staticmethod
    def forward(ctx, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, own.contiguous())
        ctx.rows = len(own)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        start = distributed.get_rank() * ctx.rows
        return gradient[start : start + ctx.rows]


class _Sum(torch.autograd.Function):
    """The sum over the processes; the gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, own: Tensor) -> Tensor:
        total = own.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def gather(outputs: Outputs, processes: Processes) -> Outputs:
    """The outputs for the whole batch, in the batch's order."""
    if processes.count == 1:
        return outputs
    return Outputs(*(None if output is None else _Gather.apply(output) for output in outputs))


def gather_labels(labels: Tensor, processes: Processes) -> Tensor:
    """The labels of the whole batch, int64 `[count · n]`, in the batch's order."""
    return labels if processes.count == 1 else _Gather.apply(labels)


def sum_gradients(parameters: list[nn.Parameter], processes: Processes) -> None:
    """Add up the processes' gradients, in place, in one message.

    Not `DistributedDataParallel`: the local branch is without gradients in part of a run, which is an error there.
    """
    if processes.count == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    message = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(message)
    for gradient, total in zip(gradients, message.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient))


def normalise_over_all(model: nn.Module, processes: Processes) -> nn.Module:
    """`model` with batch normalisation over the whole batch, under the same names of weights."""
    if processes.count == 1:
        return model
    if any(p.is_cuda for p in model.parameters()):
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for name, child in model.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(model, name, _BatchNormOverAll.of(child))
        else:
            normalise_over_all(child, processes)
    return model


class _BatchNormOverAll(nn.modules.batchnorm._BatchNorm):
    """What torch's SyncBatchNorm is on GPUs, which it refuses to be on CPUs."""

    @classmethod
    def of(cls, norm: nn.modules.batchnorm._BatchNorm) -> "_BatchNormOverAll":
        over_all = cls(norm.num_features, norm.eps, norm.momentum)
        over_all._parameters, over_all._buffers = norm._parameters, norm._buffers
        return over_all

    def _check_input_dim(self, input: Tensor) -> None:
        pass  # of any number of dimensions: the channels are the second

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        dtype, input = input.dtype, at_least_float32(input)
        dimensions = [d for d in range(input.ndim) if d != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        count = input.numel() / input.shape[1] * distributed.get_world_size()
        mean = _Sum.apply(input.sum(dimensions)) / count
        centred = input - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(dimensions)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(dtype)
