"""The mutations of `dicom_mutations`: each takes a series' slices before they are written, and changes them."""

from __future__ import annotations

from collections.abc import Callable

from oracles import mutation_headers, mutation_images, mutation_slices
from oracles.mutation_drafts import Drafts, Rng

# In this order: a seed draws from it
ALL = (*mutation_slices.ALL, *mutation_headers.ALL, *mutation_images.ALL)
KINDS: dict[str, Callable[[Rng, Drafts], Drafts]] = {mutate.__name__: mutate for mutate in ALL}
