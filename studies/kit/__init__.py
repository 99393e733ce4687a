"""What every study is made of: photographs, networks, scores, tables and plots."""
