"""Training losses of HiFill (HiFill section 3.5, eq. 9-14).

Images are [B, S, S, 3] float32 in [-1, 1], masks [B, S, S, 1] with 1 = hole, critic scores [B, 1]. Every function
returns one value per sample, [B] float32, so that the caller can divide the sum by the global batch size. The L1 norm
of an image is the mean over its values; eq. 11-13 do not say.
"""

from __future__ import annotations

from typing import Callable

import tensorflow as tf

# Keeps the derivative of the norm finite where the gradient is zero.
_EPSILON = 1e-12
# Added to a mean squared error, 1.3 levels of 255 squared. Without it, the gradient of a hole that is nearly right
# would be the largest.
_LEAST_ERROR = 1e-4


def hole_l1(generated, image, mask, by_area=False):
    """L_in-hole = |G(x, m) - x| * m (eq. 11), a mean over the image or, by_area, over the hole (0 without one)."""
    found = tf.reduce_mean(tf.abs(generated - image) * mask, axis=[1, 2, 3])
    if not by_area:
        return found
    return tf.math.divide_no_nan(found, tf.reduce_mean(mask, axis=[1, 2, 3]))


def context_l1(generated, image, mask, by_area=False):
    """L_context = |G(x, m) - x| * (1 - m) (eq. 12), a mean over the image or, by_area, over the context."""
    return hole_l1(generated, image, 1.0 - mask, by_area)


def log_error(generated, image, mask):
    """The natural logarithm of the mean squared error of the hole; PSNR falls by 4.34 dB when it rises by 1.

    Not in the paper. L1 weighs photographs by their error, so those with much detail decide; here all weigh the same.
    0 without a hole.
    """
    squared = tf.reduce_mean(tf.square(generated - image) * mask, axis=[1, 2, 3])
    share = tf.reduce_mean(mask, axis=[1, 2, 3])
    error = tf.math.divide_no_nan(squared, share)
    return tf.where(share > 0, tf.math.log(error + _LEAST_ERROR), 0.0)


def reconstruction(
    generated,
    image,
    mask,
    alpha_hole,
    alpha_context,
    hole_by_area=False,
    context_by_area=False,
    log_error_weight=0.0,
):
    """L_rec = alpha_1 L_in-hole + alpha_2 L_context (eq. 13), and log_error_weight times `log_error`."""
    found = alpha_hole * hole_l1(generated, image, mask, hole_by_area)
    found += alpha_context * context_l1(generated, image, mask, context_by_area)
    if log_error_weight:
        found += log_error_weight * log_error(generated, image, mask)
    return found


def adversarial(fake_scores):
    """L_adv = -D(x~) (eq. 10)."""
    return -fake_scores[:, 0]


def balance(adversarial_gradient, reconstruction_gradient, mask, most):
    """Factors [B] in [0, 1] that limit the adversarial gradient.

    In the hole, the norm of the adversarial gradient times its factor is at most `most` times the norm of the
    reconstruction gradient. Outside the hole the adversarial gradient is 0.

    adversarial_gradient, reconstruction_gradient: [B, S, S, 3], with respect to the generated image.
    """
    adversarial_norm, reconstruction_norm = (
        tf.sqrt(tf.reduce_sum(tf.square(gradient * mask), axis=[1, 2, 3]))
        for gradient in (adversarial_gradient, reconstruction_gradient)
    )
    allowed = most * reconstruction_norm
    return tf.where(adversarial_norm > allowed, allowed / adversarial_norm, 1.0)


def critic(real_scores, fake_scores):
    """The Wasserstein part of L_d: D(x~) - D(x) (eq. 9)."""
    return fake_scores[:, 0] - real_scores[:, 0]


def gradient_penalty(discriminator: Callable, real, fake, alpha):
    """(|grad D(x^)|_2 - 1)^2 at x^ = (1 - alpha) x + alpha x~ (eq. 9, Algorithm 1).

    alpha: [B, 1, 1, 1], one number per sample. The norm is over all values of a sample.
    """
    between = (1.0 - alpha) * real + alpha * fake
    with tf.GradientTape() as tape:
        tape.watch(between)
        scores = tf.reduce_sum(discriminator(between))
    gradient = tf.cast(tape.gradient(scores, between), tf.float32)
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3]) + _EPSILON)
    return tf.square(norm - 1.0)
