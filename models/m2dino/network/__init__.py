"""The M2DINO network: one idea per file. The package and its modules `card` and `config` import no torch."""
