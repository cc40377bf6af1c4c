"""The M2DINO network: one idea per file. Importing the package imports no torch; its modules `card` and `config` neither."""
