"""Arm Ethos-U NPUs: static int8 quantization with Arm's quantizer; export only."""

from __future__ import annotations

from typing import Any

from etui.engine.delegates.base import DelegateSupport, Quantizer, QuantizerOptions
from etui.errors import PreparationError


class _EthosU(DelegateSupport):
    def make_partitioners(self, precision: str) -> list[Any]:
        from executorch.backends.arm.ethosu import EthosUPartitioner

        return [EthosUPartitioner(_compile_spec())]

    def quantizer(self, options: QuantizerOptions) -> Quantizer:
        try:
            from executorch.backends.arm.quantizer import EthosUQuantizer, get_symmetric_quantization_config
        except ImportError as error:
            message = f"the Ethos-U quantizer cannot be imported: {error}"
            raise PreparationError(message, self.record.install) from error
        quantizer = EthosUQuantizer(_compile_spec())
        quantizer.set_global(get_symmetric_quantization_config())
        for path in options.keep:
            quantizer.set_module_name(path, None)
        return Quantizer(quantizer)


def _compile_spec() -> Any:
    """Return the target configuration, which quantizer and partitioner must share."""
    from executorch.backends.arm.ethosu import EthosUCompileSpec

    return EthosUCompileSpec("ethos-u85-256")


DELEGATE = _EthosU("ethos-u")
