"""Reports of studies, and the pages of docs/ that show results."""
