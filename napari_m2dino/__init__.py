"""The napari side of napari-m2dino: reader, writer, sample loops and the M2DINO dock. Importing it is free."""
