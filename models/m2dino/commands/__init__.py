"""The sub-commands of `m2dino`, one module a subject; each has `register(app)`.

A command checks its words, calls the engine and prints. It raises `M2DinoError` for a user's mistake and lets
`m2dino.cli.main` turn it into one sentence and exit status 1. Heavy imports stand inside the functions, so that
`m2dino --help` is quick.
"""
