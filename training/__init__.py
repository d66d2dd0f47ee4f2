"""What `train.py` is made of.

The compiled step, evaluation, saved runs, and what a person sees meanwhile.
"""
