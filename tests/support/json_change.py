# SPDX-License-Identifier: MIT
"""Damaged copies of JSON documents."""
import copy


def changed(document, *keys_and_value):
    """A copy in which the value at `keys` is another; KeyError as the value removes it: changed(d, "runs", 0, "seed", 7)."""
    document = copy.deepcopy(document)
    *keys, last, value = keys_and_value
    target = document
    for key in keys:
        target = target[key]
    if value is KeyError:
        del target[last]
    else:
        target[last] = value
    return document
