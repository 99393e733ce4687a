"""The differences between Keras 2 and Keras 3, and the private attributes of Keras that the package needs.

TensorFlow 2.15 comes with Keras 2, later versions with Keras 3. The rest of the package is the same under both.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

KERAS_3 = hasattr(keras, "ops")


def policy(precision: str) -> str:
    """Name of Keras' dtype policy for "float32", "bfloat16" or "float16"; weights are always float32."""
    return precision if precision == "float32" else f"mixed_{precision}"


def weight_options(first_replica: bool = False) -> dict:
    """Keywords of `Layer.add_weight` for a variable that Keras never casts to the layer's precision.

    first_replica: all replicas assign the same value, so the first replica's is kept.
    """
    options: dict = {"autocast" if KERAS_3 else "experimental_autocast": False}
    if first_replica:
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        options["aggregation"] = "only_first_replica" if KERAS_3 else first
    return options


def layers_within(layer, kind: type) -> list:
    """All layers of a kind within a layer, at any depth."""
    return [inner for inner in layer._flatten_layers() if isinstance(inner, kind)]


def leave_sums_to_the_caller(optimizer) -> None:
    """Stops an optimizer from summing gradients over replicas; `apply_sums` gives it the sums."""
    if KERAS_3:
        optimizer._all_reduce_sum_gradients = list


def apply_sums(optimizer, gradients, variables) -> None:
    """One update with gradients that are already sums over replicas; needs `leave_sums_to_the_caller`."""
    options = {} if KERAS_3 else {"skip_gradients_aggregation": True}
    optimizer.apply_gradients(zip(gradients, variables), **options)


def tensorflow_variable(variable):
    """The TensorFlow variable (distributed or not) of a Keras variable."""
    return variable.value if KERAS_3 and isinstance(variable, keras.Variable) else variable
