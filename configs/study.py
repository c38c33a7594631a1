"""The ablation: teacher, labels only, logits only, features only and FAKD, over seeds and splits.

    fakd study --config study           # Kaggle's data, hours on a GPU
    fakd study --config study:phantom   # synthetic MRI, minutes on a CPU
    fakd study --config study --config.study.seeds=0,1,2 --config.base.student.num_epochs=5

Every method, seed and split is a cell: an ordinary training run with a workdir of its own. The
teacher of a split and a seed is trained once and serves all methods that need one.
"""

from ml_collections import ConfigDict

from fakd_jax.configs import fakd, feature, kd, student, teacher


def get_config(variant: str = "") -> ConfigDict:
    """Returns the study of the paper's settings, or with `variant="phantom"` a small one."""
    config = ConfigDict()
    config.name = "study"

    config.study = ConfigDict()
    config.study.methods = ("teacher", "student", "kd", "feature", "fakd")  # names in `changes`
    config.study.seeds = (0, 1, 2, 3, 4)  # of weights, order, augmentation and validation images
    config.study.splits = ("official",)  # values of config.data.split
    config.study.baseline = "student"  # the others are compared with it
    # Further pairs "method:reference" to compare, such as "fakd:kd".
    config.study.comparisons = ()
    # Method -> the method that trains its teacher; needed where several methods train one.
    config.study.teachers = ConfigDict()
    # Shifts under which every network is measured after its evaluation, as by `fakd stress`.
    config.study.stress = ConfigDict()
    config.study.stress.severities = ()  # some of 1 to 5; () measures none
    config.study.stress.families = ()  # names in fakd_jax/shifts/families.py; () takes all

    # What all cells share: every key of configs/fakd.py but those in which cells differ.
    config.base = base = fakd.get_config(variant)
    del base.name, base.train, base.seed, base.data.split, base.data.fold, base.teacher.checkpoint

    # What each method changes; a method of your own is one more entry.
    config.changes = ConfigDict({"fakd": {}})
    for method in (teacher, student, kd, feature):
        config.changes[method.CHANGES["name"]] = ConfigDict(method.CHANGES)

    if variant == "phantom":
        config.update(_phantom())
    return config


def _phantom() -> dict:
    """Fewer and smaller images than those of `fakd:phantom`, and more epochs for the teacher."""
    return {
        "study": {"seeds": (0, 1)},
        "base": {
            "data": {"image_size": 48, "phantom": {"train_per_class": 200}},
            "teacher": {"num_epochs": 5},
            "student": {"num_epochs": 6},
        },
    }
