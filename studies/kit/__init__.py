"""Common parts of the studies: photographs, networks, scores, tables and plots."""
