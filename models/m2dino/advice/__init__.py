"""Advice on which tasks to train together: by counts and the paper's evidence, or measured by short probe runs."""
