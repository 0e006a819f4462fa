"""Labels that no training can use are found before it starts."""

import numpy as np
from project import code_of

from medseg.cases.checks import check_cases
from medseg.cases.find import find_cases


def test_bad_labels_are_found_before_training(save, tmp_path):
    image = save("set/images/a.nii.gz", np.zeros((4, 5, 6), np.float32))
    label = save("set/labels/a.nii.gz", np.zeros((4, 5, 6), np.uint8))
    cases = find_cases(tmp_path / "set", labelled=True)
    check_cases(cases, [0, 1])
    shifted = np.eye(4)
    shifted[0, 3] = 0.5
    for code, array, affine in [
        ("LABEL_UNKNOWN_ID", np.full((4, 5, 6), 9, np.uint8), None),
        ("LABEL_NOT_INTEGER", np.full((4, 5, 6), 0.5, np.float32), None),
        ("GEOMETRY_LABEL_GRID", np.zeros((4, 5, 7), np.uint8), None),
        ("GEOMETRY_LABEL_GRID", np.zeros((4, 5, 6), np.uint8), shifted),
    ]:
        save("set/labels/a.nii.gz", array, affine)
        assert code_of(check_cases, cases, [0, 1]) == code
    label.write_bytes(b"no gzip")
    assert code_of(check_cases, cases, [0, 1]) == "FILE_UNREADABLE"
    image.write_bytes(b"")
    assert code_of(check_cases, cases, [0, 1]) == "FILE_TRUNCATED"
