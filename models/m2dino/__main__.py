"""`python -m m2dino` is the command `m2dino`."""

from m2dino.cli import main

main()
