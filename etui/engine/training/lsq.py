"""Learned step size quantization: fake quantization whose scales are trained with the weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torchao.quantization.pt2e import FakeQuantizeBase

_SMALLEST = 2.0**-24
"""The smallest scale: XNNPACK takes positive normal scales."""


class _RoundThrough(torch.autograd.Function):
    """Rounding to the nearest integer, ties to even, with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        return torch.round(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


class _ScaleGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] * ctx.factor, None


class _FromLog(torch.autograd.Function):
    """The scale of its logarithm. A step of gradient descent changes the scale as one on the scale itself would, to
    first order, but by a factor: it stays positive. The gradient is limited to 1, so the learning rate is the largest
    relative change of a scale in one step without momentum."""

    @staticmethod
    def forward(ctx: Any, log_scale: torch.Tensor) -> torch.Tensor:
        scale: torch.Tensor = log_scale.exp()
        ctx.save_for_backward(scale)
        return scale

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (scale,) = ctx.saved_tensors
        result: torch.Tensor = (gradients[0] / scale).clamp(-1, 1)
        return result


def lsq(values: torch.Tensor, scale: torch.Tensor, low: int, high: int, count: int) -> torch.Tensor:
    """Return values quantized to integers from ``low`` to ``high`` times ``scale``, which broadcasts to them.

    Esser et al., Learned Step Size Quantization, 2020, equations 1 to 3: the gradient of the scale is that of the
    straight-through estimator, multiplied by 1 / sqrt(count * high), where ``count`` is the number of values that share
    a scale (section 2.2).
    """
    scale = _ScaleGradient.apply(scale, 1 / math.sqrt(count * high))  # type: ignore[no-untyped-call]
    clipped = torch.clamp(values / scale, low, high)
    result: torch.Tensor = _RoundThrough.apply(clipped) * scale  # type: ignore[no-untyped-call]
    return result


class LsqFakeQuantize(FakeQuantizeBase):  # type: ignore[misc]
    """Fake quantization of a weight or an activation with learned scales, in the place of PT2E's own.

    The conversion takes the scales as they are, so the program has the same integers as the training. The first call
    after construction sets the scales, from the values of that call: 2 mean(abs(v)) / sqrt(Qp) as in the paper, but at
    most max(abs(v)) / Qp, the scale at which nothing is clipped. At 8 bits the value of the paper is several times
    that. Scales are trained as logarithms, so that they stay positive. Activations without a negative value in that
    call are unsigned: all integers are used for positive values.
    """

    log_scale: nn.Parameter
    zero_point: torch.Tensor

    def __init__(
        self,
        dtype: torch.dtype,
        quant_min: int,
        quant_max: int,
        qscheme: torch.qscheme,
        ch_axis: int | None = None,
        is_dynamic: bool = False,
        eps: float = 0.0,
    ) -> None:
        super().__init__()
        self.dtype, self.qscheme, self.is_dynamic, self.eps = dtype, qscheme, is_dynamic, eps
        self.quant_min, self.quant_max = quant_min, quant_max
        self.is_per_channel = qscheme in (torch.per_channel_symmetric, torch.per_channel_affine)
        self.ch_axis = (ch_axis or 0) if self.is_per_channel else -1
        self.is_weight = qscheme in (torch.per_channel_symmetric, torch.per_tensor_symmetric)
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.register_buffer("zero_point", torch.zeros(1, dtype=torch.int32))
        self.register_buffer("initialized", torch.zeros(1, dtype=torch.uint8))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values quantized with the scales; set the scales first if they are not."""
        if not self.initialized[0]:
            self._initialize(values.detach())
        shape = [1] * values.dim()
        if self.is_per_channel:
            shape[self.ch_axis] = -1
        low, high = self._limits()
        scale = _FromLog.apply(self.log_scale).reshape(shape)  # type: ignore[no-untyped-call]
        count = values.numel() // self.log_scale.numel()
        if not self.is_weight:
            count //= max(1, values.shape[0])  # the features of one image
        return lsq(values, scale, low, high, max(1, count))

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scales and zero points for the conversion."""
        return self.log_scale.detach().exp(), self.zero_point

    def _limits(self) -> tuple[int, int]:
        """Return the smallest and the largest integer without the zero point."""
        offset = int(self.zero_point[0])
        return self.quant_min - offset, self.quant_max - offset

    @torch.no_grad()
    def _initialize(self, values: torch.Tensor) -> None:
        if not self.is_weight and float(values.min()) >= 0:
            self.zero_point.fill_(self.quant_min)
        high = self._limits()[1]
        sizes = values.abs()
        if self.is_per_channel:
            sizes = sizes.movedim(self.ch_axis, 0).flatten(1)
            self.zero_point.resize_(sizes.shape[0]).zero_()
            mean, largest = sizes.mean(1), sizes.amax(1)
        else:
            mean, largest = sizes.mean().reshape(1), sizes.amax().reshape(1)
        scale = torch.minimum(2 * mean / math.sqrt(high), largest / high)
        self.log_scale.data = scale.clamp(min=_SMALLEST).log().to(values.device, torch.float32)
        self.initialized.fill_(1)

    def _load_from_state_dict(self, state_dict: dict[str, torch.Tensor], prefix: str, *rest: Any) -> None:
        """Load scales of any number of channels."""
        stored = state_dict.get(prefix + "log_scale")
        if stored is not None and stored.dim() == 1:
            self.log_scale.data = self.log_scale.data.new_zeros(stored.shape)
            self.zero_point.resize_(stored.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)
