"""Mutations of which slices a series has, and of their names and numbers."""

from __future__ import annotations

import copy

from oracles.mutation_drafts import (
    Drafts,
    Rng,
    copies,
    other_pixels,
    own,
    some,
    without,
)


def drop_end(rng: Rng, drafts: Drafts) -> Drafts:
    slices, n = own(drafts), int(rng.integers(1, 3))
    return without(drafts, slices[:n] if rng.integers(2) else slices[-n:])


def drop_middle(rng: Rng, drafts: Drafts) -> Drafts:
    slices = own(drafts)
    return without(drafts, [slices[rng.integers(1, max(2, len(slices) - 1)) % len(slices)]])


def drop_several(rng: Rng, drafts: Drafts) -> Drafts:
    return without(drafts, [draft for draft in own(drafts) if rng.random() < 0.3])


def drop_every_other(rng: Rng, drafts: Drafts) -> Drafts:
    return without(drafts, own(drafts)[int(rng.integers(2)) :: 2])


def single_slice(rng: Rng, drafts: Drafts) -> Drafts:
    kept = some(rng, drafts)
    return without(drafts, [draft for draft in own(drafts) if draft is not kept])


# Slices that are there twice


def duplicate_identical(rng: Rng, drafts: Drafts) -> Drafts:
    twins = [copy.deepcopy(draft) for draft in own(drafts) if rng.random() < 0.3] or [copy.deepcopy(drafts[0])]
    renamed = rng.integers(2)
    for n, twin in enumerate(twins):
        twin.name = f"A{twin.name.replace('/', '_')}_copy{n}" if rng.integers(2) else f"{twin.name}_copy{n}"
        if renamed:
            twin.header["SOPInstanceUID"] += f".{rng.integers(10**6)}"
    return drafts + twins


def duplicate_other_pixels(rng: Rng, drafts: Drafts) -> Drafts:
    twin = copy.deepcopy(some(rng, drafts))
    twin.stored, twin.volume = other_pixels(rng, twin), "twin"
    twin.name = f"{rng.choice(['A', 'Z'])}{rng.integers(10**6)}"
    twin.header["SOPInstanceUID"] += ".7"
    return [*drafts, twin]


def duplicate_other_tag(rng: Rng, drafts: Drafts) -> Drafts:
    twin = copy.deepcopy(some(rng, drafts))
    if rng.random() < 0.7:
        twin.stored, twin.volume = other_pixels(rng, twin), "twin"
    tags = ("EchoTime", "InstanceNumber", "AcquisitionNumber", "TemporalPositionIdentifier", "AcquisitionTime")
    tag = str(rng.choice([*tags, "SeriesNumber", "TriggerTime", "ConvolutionKernel", "RescaleIntercept"]))
    twin.header[tag] = "230000" if tag == "AcquisitionTime" else "77"
    twin.header["SOPInstanceUID"] += ".8"
    twin.name = f"{rng.choice(['A', 'Z'])}{rng.integers(10**6)}"
    return [*drafts, twin]


def multi_echo(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in own(drafts):
        draft.header |= {"EchoTime": "10", "EchoNumbers": "1"}
    return drafts + copies(rng, drafts, "echo", EchoTime="90", EchoNumbers="2")


def multi_time(rng: Rng, drafts: Drafts) -> Drafts:
    tags = ("TemporalPositionIdentifier", "AcquisitionNumber", "AcquisitionTime", "TriggerTime", "DiffusionBValue")
    tag = str(rng.choice(tags))
    values = ["090000", "100000", "110000"] if tag == "AcquisitionTime" else ["1", "2", "3"]
    typed = [float(v) for v in values] if tag == "DiffusionBValue" else values
    later = [d for n in (1, 2)[: rng.integers(1, 3)] for d in copies(rng, drafts, f"time{n}", **{tag: typed[n]})]
    for draft in own(drafts):
        draft.header[tag] = typed[0]
    return drafts + later


def multi_untold(rng: Rng, drafts: Drafts) -> Drafts:
    return drafts + copies(rng, drafts, "untold")


# Names and numbers


def file_names(rng: Rng, drafts: Drafts) -> Drafts:
    for draft, n in zip(drafts, rng.permutation(len(drafts)), strict=True):
        draft.name = f"{rng.choice(['', 'x', 'IM'])}{n}{rng.choice(['', '.dcm', '.IMA'])}"
    return drafts


def instance_numbers(rng: Rng, drafts: Drafts) -> Drafts:
    how = rng.integers(3)
    for draft, n in zip(drafts, rng.permutation(len(drafts)), strict=True):
        draft.header["InstanceNumber"] = str(n if how == 0 else 1)
        if how == 2:
            del draft.header["InstanceNumber"]
    return drafts


def nested_folders(rng: Rng, drafts: Drafts) -> Drafts:
    for n, draft in enumerate(drafts):
        draft.name = f"d{rng.integers(3)}/{'e/' if rng.integers(2) else ''}{n}_{draft.name.replace('/', '_')}"
    return drafts


ALL = (
    drop_end,
    drop_middle,
    drop_several,
    drop_every_other,
    single_slice,
    duplicate_identical,
    duplicate_other_pixels,
    duplicate_other_tag,
    multi_echo,
    multi_time,
    multi_untold,
    file_names,
    instance_numbers,
    nested_folders,
)
