"""Planning on NumPy: what of a program may be computed a part of the batch at a time, and when."""
