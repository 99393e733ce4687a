"""The user study of Zoom-to-Inpaint (section 4.3): a page for participants, and the count of their answers."""
