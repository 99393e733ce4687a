"""Data sets of photographs, and the tf.data pipeline that training reads."""
