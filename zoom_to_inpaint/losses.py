"""Training losses of Zoom-to-Inpaint (Zoom-to-Inpaint section 3.1, eq. 3, 5, 6) and the blending of eq. 2, 4 and 7.

Images are [B, H, W, 3] float32 in [0, 1], masks [B, H, W, 1] with 1 = hole, VGG features [B, h, w, C], discriminator
scores [B, P], one per patch. Every loss returns one value per sample, [B] float32, so that the caller can divide the
sum by the global batch size. Half-precision inputs are cast to float32. The paper's norms are means over a sample's
values, as in the release, so that the coefficients hold for every size.
"""

from __future__ import annotations

import tensorflow as tf


def blend(generated, known, mask):
    """mask * generated + (1 - mask) * known: eq. 2 (X_c), 4 (X~_r, known = the label) and 7 (X_r).

    [B, H, W, C] float32. Outside a binary mask the result is `known` to the bit, as long as `generated` is finite.
    """
    generated, known = tf.cast(generated, tf.float32), tf.cast(known, tf.float32)
    return mask * generated + (1.0 - mask) * known


def l1(prediction, label):
    """|X_c - X|_1 (eq. 3), L_SR (section 3.1.2), |X~_r - X~|_1 (eq. 5), also of VGG features phi."""
    return _mean(tf.abs(_difference(prediction, label)))


def blended_l1(prediction, label, mask, by_area=False):
    """`l1` of images that are the label outside the hole; by_area: a mean over the hole (departure; 0 without one).

    Small holes then count as much as large ones.
    """
    found = l1(prediction, label)
    return tf.math.divide_no_nan(found, _mean(mask)) if by_area else found


def gradient(prediction, label, factor):
    """L_grad (eq. 6): factor * mean(dx^2 + dy^2) of the image prediction - label under [-1, 1] and [-1, 1]^T.

    prediction: X~_r, which is the label outside the hole (eq. 4).
    factor: 0.5 in eq. 6, 1 in the release.

    Border: dy of the last row and dx of the last column are 0; the means include these zeros. This equals the
    release's loss in float32.
    """
    dy, dx = tf.image.image_gradients(_difference(prediction, label))
    return factor * (_mean(tf.square(dx)) + _mean(tf.square(dy)))


def hinge_real(scores):
    """The discriminator's hinge loss on labels: max(0, 1 - D(x)), a mean over the patches."""
    return _mean(tf.nn.relu(1.0 - tf.cast(scores, tf.float32)))


def hinge_fake(scores):
    """The discriminator's hinge loss on results: max(0, 1 + D(x~)), a mean over the patches."""
    return _mean(tf.nn.relu(1.0 + tf.cast(scores, tf.float32)))


def hinge_generator(fake_scores):
    """L_h of eq. 5, the generator's side of the hinge loss: -D(x~), a mean over the patches."""
    return -_mean(tf.cast(fake_scores, tf.float32))


def _difference(prediction, label):
    return tf.cast(prediction, tf.float32) - tf.cast(label, tf.float32)


def _mean(values):
    """[B, ...] -> [B]."""
    return tf.reduce_mean(values, axis=list(range(1, len(values.shape))))
