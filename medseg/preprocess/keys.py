"""The keys of the dictionaries that transforms pass on."""

IMAGE, LABEL, PRED = "image", "label", "pred"
