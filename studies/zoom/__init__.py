"""The studies of Zoom-to-Inpaint's tables and figures."""
