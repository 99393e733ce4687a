"""Image files and arrays: reading, writing, conversion, grids, and which mask belongs to which photograph."""
