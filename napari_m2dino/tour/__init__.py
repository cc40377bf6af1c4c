"""A tour of the product on the real window: every station is driven by clicks and keys, pictured and timed."""
