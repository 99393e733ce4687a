"""Counts the floating-point operations of a call while it runs.

Only convolutions and matrix products count, with two operations per multiplication and addition; all other operations
are negligible. The call runs eagerly, so that shapes that depend on the data, such as the attention's, are known.
"""

from __future__ import annotations

import math
from typing import Callable

_CONVOLUTIONS = ("Conv2D", "FusedConv2D", "_FusedConv2D")
_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")


def count(call: Callable) -> int:
    """Floating-point operations of one `call()`: those of its convolutions and matrix products."""
    import tensorflow as tf

    # TensorFlow's public interface does not give the shapes of eager operations.
    from tensorflow.python.framework import op_callbacks

    total = 0

    def see(kind, inputs, attributes, outputs, op_name=None, graph=None):
        nonlocal total
        del op_name, graph
        total += _operations(kind, inputs, attributes, outputs)

    eager_before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    op_callbacks.add_op_callback(see)
    try:
        call()
    finally:
        op_callbacks.remove_op_callback(see)
        tf.config.run_functions_eagerly(eager_before)
    return total


def _operations(kind, inputs, attributes, outputs):
    if isinstance(kind, bytes):
        kind = kind.decode()
    if kind in _CONVOLUTIONS:
        # kernel [h, w, Cin / groups, C]: every output value is a sum over all but the last axis.
        return 2 * math.prod(inputs[1].shape[:3]) * math.prod(outputs[0].shape)
    if kind == "DepthwiseConv2dNative":
        return 2 * math.prod(inputs[1].shape[:2]) * math.prod(outputs[0].shape)
    if kind == "Conv2DBackpropInput":  # a transposed convolution: its input is the third argument
        return 2 * math.prod(inputs[1].shape[:2]) * inputs[1].shape[2] * math.prod(inputs[2].shape)
    if kind in _PRODUCTS:
        named = dict(zip(attributes[::2], attributes[1::2])) if attributes else {}
        transposed = any(named.get(name, False) for name in ("transpose_a", "adj_x"))
        return 2 * inputs[0].shape[-2 if transposed else -1] * math.prod(outputs[0].shape)
    return 0
