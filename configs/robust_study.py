"""Does distillation pay? Labels, KD and FAKD, each as in the paper and trained against shifts.

    fakd study --config robust_study           # Kaggle's data
    fakd study --config robust_study:phantom   # synthetic MRI, small

The robust methods change what `configs/robust.py` changes, and learn from a teacher that does so
too: teacher and student get the same standardised images. Every method has the same budget and
optimization, and every network is measured under shifts after its evaluation.
"""

from ml_collections import ConfigDict

from fakd_jax.configs import kd, robust, student, study, teacher

METHODS = {
    "teacher": teacher.CHANGES,
    "student": student.CHANGES,
    "kd": kd.CHANGES,
    "fakd": {},
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the study of the paper's settings, or with `variant="phantom"` a small one."""
    config = study.get_config(variant)
    config.name = "robust_study"
    config.base.update(robust.OPTIMIZATION)
    config.study.update(
        {
            "methods": (*METHODS, *map(_robust, METHODS)),
            "seeds": (0, 1, 2),
            "splits": ("grouped",),
            "teachers": {
                "kd": "teacher",
                "fakd": "teacher",
                "robust_kd": "robust_teacher",
                "robust_fakd": "robust_teacher",
            },
            "comparisons": (
                *(f"{_robust(method)}:{method}" for method in METHODS),
                "fakd:student",
                "kd:student",
                "robust_fakd:robust_student",
                "robust_kd:robust_student",
            ),
            "stress": {"severities": (1, 2, 3)},
        }
    )
    config.changes = ConfigDict(METHODS)
    for method, changes in METHODS.items():
        made = ConfigDict(robust.CHANGES)
        made.update(changes)
        made.name = _robust(method)
        config.changes[made.name] = made
    if variant == "phantom":
        config.update(_phantom())
    return config


def _robust(method: str) -> str:
    return f"robust_{method}"


def _phantom() -> dict:
    """One seed of fewer images and epochs than those of `study:phantom`, and four shifts."""
    return {
        "study": {
            "seeds": (0,),
            "stress": {
                "severities": (2,),
                "families": ("gamma", "blur", "rotation", "rician_noise"),
            },
        },
        "base": {
            "data": {"phantom": {"train_per_class": 100, "test_per_class": 40}},
            "teacher": {"num_epochs": 3},
            "student": {"num_epochs": 4},
        },
    }
