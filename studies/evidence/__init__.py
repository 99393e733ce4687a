"""Small-scale evidence: do small networks rank as the papers' large networks do?"""
