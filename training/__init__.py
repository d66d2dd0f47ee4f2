"""What `train.py` is made of: the compiled step, evaluation, saved runs, and what a person sees meanwhile."""
