"""The user study of Zoom-to-Inpaint (Z, section 4.3): a page for participants, and the count of their answers."""
