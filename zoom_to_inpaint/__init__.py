"""Zoom-to-Inpaint: Image Inpainting with High-Frequency Details (CVPR Workshops 2022). Not yet in this version.

Its masks (Table 1), metrics and datasets are in `common/`; its networks, stages and ablations are still to be
written. docs/paper_map.md says which parts of the paper exist. The commands refuse `--model=zoom_to_inpaint`.
"""
