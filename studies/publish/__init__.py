"""Reports of studies, and the result pages of docs/."""
