"""Scoring predictions against labels: figures of an image, of a task, of a data set, and how to show them."""
