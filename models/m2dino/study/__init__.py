"""The paper's experiment on any data: which tasks to pool, at what scale, and whether the experts pay.

A study is a plan of ordinary training runs (`plan`), carried out one after the other or by several workers (`work`,
`cluster`), one file of results each (`results`), and what follows from them (`changes`, `summary`, `report`).
"""
