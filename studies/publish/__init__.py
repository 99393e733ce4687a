"""Reports of studies, and what README and docs/ take from results."""
