"""Small-scale evidence: do small networks order as the papers say their large ones do?"""
