"""Separate pretraining of the three networks (Zoom-to-Inpaint section 4.1).

CoarsePretraining            L_c                    eq. 3
RefinementPretraining        L1 and VGG of eq. 5    section 4.1, "we only use the L1 loss and the VGG loss"
SuperResolutionPretraining   L_SR                   section 3.1.2
"""

from __future__ import annotations

import tensorflow as tf

from zoom_to_inpaint.losses import blend
from zoom_to_inpaint.super_resolution import enlarge
from zoom_to_inpaint.training import Compared, Trainer, labels, masked


class CoarsePretraining(Trainer):
    """The coarse network on images at its own resolution (eq. 3)."""

    def networks(self):
        return {"coarse": self.model.coarse}

    def forward(self, image, mask, training):
        coarse = self.model.complete_coarsely(masked(image, mask), mask, training=training)
        return {"coarse": coarse, "label": image, "mask": mask}

    def compared(self, found):
        return {"coarse_l1": Compared(found["coarse"], found["label"], found["mask"])}

    def term_weights(self):
        return {"coarse_l1": 1.0, "coarse_vgg": self.options.coarse_vgg_weight}

    def shown(self, image, mask):
        return {"result": self.at_inference(image, mask)["coarse"]}


class RefinementPretraining(Trainer):
    """The refinement network on the results of a pretrained, frozen coarse network.

    The paper does not name the input of this pretraining. In joint training the decoder's output is added to a coarse
    result; a refinement network pretrained on empty holes would add a second colour to that result.
    """

    def networks(self):
        return {"refinement": self.model.refinement}

    def forward(self, image, mask, training):
        coarse = self.model.complete_coarsely(masked(image, mask), mask, training=False)
        refined = self.model.refinement((tf.stop_gradient(coarse), mask), training=training)
        refined = blend(refined, image, mask)
        return {"coarse": coarse, "refined": refined, "label": image, "mask": mask}

    def compared(self, found):
        return {"refined_l1": Compared(found["refined"], found["label"], found["mask"])}

    def term_weights(self):
        return {"refined_l1": 1.0, "refined_vgg": self.options.coarse_vgg_weight}

    def shown(self, image, mask):
        found = self.at_inference(image, mask)
        return {"coarse": found["coarse"], "result": found["refined"]}


class SuperResolutionPretraining(Trainer):
    """The SR network on complete images and their bicubic reductions (section 3.1.2)."""

    def networks(self):
        return {"super_resolution": self.model.super_resolution}

    def forward(self, image, mask, training):
        del mask
        small, label = labels(image, self.model.config)
        zoomed = self.model.super_resolution(small, training=training)
        return {"small": small, "zoomed": zoomed, "label": label}

    def compared(self, found):
        return {"sr_l1": Compared(found["zoomed"], found["label"])}

    def term_weights(self):
        return {"sr_l1": 1.0}

    def shown(self, image, mask):
        found = self.at_inference(image, mask)
        bicubic = enlarge(found["small"], self.model.config.scale)
        return {"bicubic": bicubic, "result": found["zoomed"]}
