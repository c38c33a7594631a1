"""Other names for classes: by a map of the user's, and by the spellings that are common."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from fakd_jax.data.layouts.names import composed
from fakd_jax.data.layouts.scan import Scan
from fakd_jax.errors import UserError, listed

ClassMap = Mapping[str, str]
"""The new name by the name in the data; "" leaves out the images of a class."""

_NO_TUMOUR = "no"
_SYNONYMS = {
    **dict.fromkeys(("none", "non", "normal", "healthy"), _NO_TUMOUR),
    "gliomas": "glioma",
    "meningiomas": "meningioma",
}


def parse_class_map(text: str) -> dict[str, str]:
    """Reads `glioma_tumor=glioma,no_tumor=notumor`.

    Raises:
      UserError: a part without `=` or without a name, or a name twice.

    >>> parse_class_map("no_tumor=notumor, metastasis=")
    {'no_tumor': 'notumor', 'metastasis': ''}
    """
    parts = [part.partition("=") for part in text.split(",")] if text.strip() else []
    pairs = [(name.strip(), equals, new.strip()) for name, equals, new in parts]
    if not all(name and equals for name, equals, _ in pairs):
        raise UserError(
            f"the class map {text!r} is not of the form NAME=CLASS,NAME=CLASS (NAME= leaves out)"
        )
    counts = Counter(name for name, _, _ in pairs)
    if doubled := [name for name, number in counts.items() if number > 1]:
        raise UserError(f"the class map {text!r} names {listed(doubled)} several times")
    return {name: new for name, _, new in pairs}


def spelling(name: str) -> str:
    """What the common spellings of a class have in common.

    Case, separators and the word tumour do not matter; `no`, `none`, `normal`, `healthy` are one.

    >>> spelling("Glioma_Tumor") == spelling("glioma"), spelling("no tumour") == spelling("Normal")
    (True, True)
    """
    letters = re.sub(r"[\W_]+", "", composed(name).casefold())
    short = re.sub("tumou?rs?$", "", letters) or letters
    return _SYNONYMS.get(short, short)


def rename_classes(
    scan: Scan,
    class_map: ClassMap,
    known: Sequence[str] | None = None,
    *,
    strict: bool = True,
    log: Callable[[str], object] = print,
) -> Scan:
    """Gives the classes of a scan the names that are wanted.

    Names in the map come first. If the classes that are wanted are known, such as a checkpoint's,
    the others are found by their name or, if that is one class alone, by its common spellings.
    Names that differ in Unicode's form alone are one class.

    Args:
      scan: the images.
      class_map: the new names.
      known: the classes that are wanted; None takes whatever classes there are.
      strict: whether each name in the map must be a class of the data.
      log: called with a line about the names that change.

    Raises:
      UserError: names in the map that the data lack, classes that are not among the known ones, or
        a class that is spelled differently in two splits.
    """
    unified = _unified(scan.class_names)
    given = {composed(name): new for name, new in class_map.items()}
    present = set(map(composed, scan.class_names))
    if strict and (missing := sorted(given.keys() - present)):
        raise UserError(
            f"the class map names {listed(missing)}, but the classes of {scan.folder} are "
            f"{', '.join(scan.class_names)}"
        )
    new: dict[str, str | None] = {}
    for name in scan.class_names:
        if (mapped := given.get(composed(name))) is not None:
            new[name] = mapped or None
        else:
            new[name] = unified[name] if known is None else _known_name(name, known)
    if known is not None:
        _require_known(scan, new, known)
    renamed = scan.with_classes(new)
    _refuse_two_spellings(renamed)
    _log_changes(scan, new, log)
    return renamed


def _unified(names: Iterable[str]) -> dict[str, str]:
    """One name for those that differ in Unicode's form alone; the others stay as they are."""
    forms: dict[str, list[str]] = defaultdict(list)
    for name in names:
        forms[composed(name)].append(name)
    return {name: form if len(same) > 1 else name for form, same in forms.items() for name in same}


def _known_name(name: str, known: Sequence[str]) -> str:
    """The known class that a name stands for; the name itself if there is no single one."""
    if name in known:
        return name
    same = [one for one in known if spelling(one) == spelling(name)]
    return same[0] if len(same) == 1 else name


def _require_known(scan: Scan, new: Mapping[str, str | None], known: Collection[str]) -> None:
    unknown = [name for name, mapped in new.items() if mapped is not None and mapped not in known]
    if unknown:
        example = ",".join(f"{name}=CLASS" for name in unknown[:2])
        raise UserError(
            f"the data's classes {listed(unknown)} are none of the checkpoint's "
            f"({', '.join(known)}); map each with --class-map {example} or leave its images out "
            f"with --class-map {unknown[0]}="
        )


def _refuse_two_spellings(scan: Scan) -> None:
    """Refuses a class that one split spells so and another one otherwise."""
    counts = scan.counts()
    for name, other in itertools.permutations(scan.class_names, 2):
        if spelling(name) != spelling(other):
            continue
        for split, own in counts.items():
            if own[other] and not own[name]:
                raise UserError(
                    f"{scan.folder} has the class {name}, but in {split} only {other}; if they are "
                    f"one, rename a folder or map it with config.data.class_map={name}={other} "
                    f"(--class-map {name}={other}), if not, give them other names"
                )


def _log_changes(scan: Scan, new: Mapping[str, str | None], log: Callable[[str], object]) -> None:
    changed = [f"{name} → {mapped}" for name, mapped in new.items() if mapped not in (name, None)]
    if changed:
        log(f"data: classes renamed: {listed(changed)}")
    if left_out := [name for name, mapped in new.items() if mapped is None]:
        number = sum(new[image.class_name] is None for image in scan.images)
        log(f"data: {number:,} images left out by the class map: {listed(left_out)}")
