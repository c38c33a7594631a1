"""FAKD, the paper's method (section III): cross-entropy, softened logits and aligned features.

    fakd train --config fakd           # the paper, on Kaggle's data
    fakd train --config fakd:phantom   # synthetic MRI, minutes on a CPU
    fakd train --config fakd --config.data.source=DIR_OR_ARCHIVE

Without `config.teacher.checkpoint` the teacher is fine-tuned first, in the same workdir and on the
same training split; then the student is distilled from it. Both are evaluated on the test images.
The other experiments in this folder change some keys of this one.
"""

from ml_collections import ConfigDict, config_dict

VARIANTS = ("", "phantom")


def get_config(variant: str = "") -> ConfigDict:
    """Returns the paper's settings, or with `variant="phantom"` a small synthetic experiment."""
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; known: {', '.join(filter(None, VARIANTS))}")
    config = ConfigDict()
    config.name = "fakd"
    # What is trained: "student" (after its teacher, where the loss needs one) or "teacher" alone.
    config.train = "student"
    config.seed = 0
    config.batch_size = 32
    config.eval_batch_size = 32
    # Compute type of the networks; "auto" is bfloat16 on a GPU or TPU and float32 on a CPU.
    # Parameters, batch statistics, logits and losses are always float32.
    config.dtype = "auto"
    # A GPU gives the same bits each time, perhaps more slowly (not measured); a CPU does anyway.
    config.deterministic = True

    config.data = data = ConfigDict()
    data.source = "kaggle"  # or a folder, a zip or tar archive, a table, "phantom"
    data.class_map = ""  # other names: "no_tumor=notumor"; "metastasis=" leaves a class out
    # "official" (the paper's), "deduplicated", "grouped" or "kfold": see fakd_jax/data/splits.py.
    # All but the first keep duplicates together; the data is audited for them if necessary. Data
    # without splits of its own gets "grouped" for "official".
    data.split = "official"
    data.groups = ""  # a CSV file with path and group, such as patients: kept together as well
    data.folds = 5  # of "kfold"
    data.fold = 0  # of "kfold": the part that is the test set, from 0
    data.validation_fraction = 0.2  # of the training images, stratified by class (paper: 80/20)
    # Share of the training images whose labels may be used, of each class; a smaller share's are
    # among a larger one's. Networks without a teacher learn from these images alone, in as many
    # steps; a student that has one learns from all. Validation keeps all its labels.
    data.labelled_share = 1.0
    data.image_size = 224
    data.mean = (0.5, 0.5, 0.5)
    data.std = (0.5, 0.5, 0.5)
    # "head_percentiles": grey levels standardised by the head's, see fakd_jax/data/intensity.py.
    data.intensity = "none"
    # How grey levels of more than 8 bits become 8: "auto" (the window that a DICOM file states,
    # else the significant bits of all images, else percentiles of each file), "percentiles", or
    # the levels that become black and white, such as "0,4095"; see fakd_jax/data/pixels/window.py.
    data.window = "auto"
    data.slice_axis = "axial"  # or "coronal", "sagittal": how NIfTI volumes are cut
    data.unreadable = "error"  # or "skip": left out and listed in the report
    data.negative_class = "notumor"  # predicted for a missed tumour; "" if there is none
    data.cache_dir = ""  # of prepared data; "" is the user's cache folder
    data.cache_gib = 2.0  # memory for decoded images; those that do not fit are decoded at each use
    # Outlines of lesions in training images: a folder or an archive with a mask for each image that
    # has one, Training/glioma/x.png for Training/glioma/x.jpg, or "own": those found with the data.
    data.lesion_masks = ""
    data.phantom = ConfigDict({"train_per_class": 500, "test_per_class": 75, "size": 72, "seed": 0})

    config.augmentation = augmentation = ConfigDict()
    augmentation.flip_probability = 0.5
    augmentation.rotation_degrees = 15.0
    augmentation.rotation_interpolation = "nearest"  # torchvision's default; or "bilinear"
    # Families of fakd_jax/shifts/families.py with their strongest severities (0 to 5), such as
    # {"gamma": 3.0}; each image draws whether (shift_probability) and how strongly.
    augmentation.shifts = ConfigDict()
    augmentation.shift_probability = 0.25
    # Of images whose lesion is outlined, and of those of the negative class: the probability that
    # the lesion or all but it is blurred, and of a crop around it.
    augmentation.lesion_infill = 0.0
    augmentation.lesion_crop = 0.0
    augmentation.background = 0.0  # probability that background, skull and tissue off it change
    augmentation.mixup_alpha = 0.0  # mixtures of two images, as both networks get them; 0 for none

    config.teacher = teacher = ConfigDict()
    teacher.arch = "resnet50"
    # "imagenet", a converted folder, hf://OWNER/NAME, a .pth or .safetensors file, or "none".
    teacher.pretrained = "imagenet"
    teacher.num_epochs = 15
    teacher.checkpoint = ""  # a trained teacher, to use instead of fine-tuning one
    teacher.allow_untrained = False  # True: accept a teacher whose head was never trained
    # Share of the running batch statistics kept at each step; None is the network's default.
    teacher.batch_norm_momentum = config_dict.placeholder(float)
    # Training batches on which batch statistics are re-estimated, under fixed weights, before each
    # validation: these are validated and saved as the best; training goes on with its own. 0: off.
    teacher.recalibrate_batch_norm = 0

    config.student = student = ConfigDict()
    student.arch = "mobilenet_v3_large"
    student.pretrained = "imagenet"
    student.num_epochs = 15
    student.batch_norm_momentum = config_dict.placeholder(float)
    student.recalibrate_batch_norm = 0

    config.distillation = distillation = ConfigDict()
    distillation.alpha = 0.5  # loss = (1 - alpha) CE + alpha KD + beta FA
    distillation.beta = 1.0
    distillation.temperature = 3.0
    # Names as torchvision has them. "auto" suits the networks: the paper's layer3 of ResNet-50 and
    # features.16 of MobileNetV3-Large, see docs/reference/networks.md for the others.
    distillation.teacher_layer = "auto"
    distillation.student_layer = "auto"
    # Several pairs in place of that one: "layer2:features.12,layer3:features.16".
    distillation.layer_pairs = ""
    distillation.normalise_features = False  # True: FA compares standardised channels
    distillation.standardise_logits = False  # True: KD, DKD and DIST compare z-scores of logits
    # The student's maps that are compared with outlines of lesions: the attention of one (14 × 14
    # at 224 pixels), and the evidence of one, or with "" the gradient by the input.
    distillation.lesion_layer = "auto"  # features.12 of MobileNetV3-Large
    distillation.right_reasons_layer = ""
    # Weights of further terms, added to the loss; docs/reference/losses.md has their formulas.
    distillation.terms = ConfigDict(
        {
            "tckd": 0.0,  # DKD: target class
            "nckd": 0.0,  # DKD: other classes
            "dist_inter": 0.0,  # DIST: relations between classes
            "dist_intra": 0.0,  # DIST: relations between images
            "attention": 0.0,  # attention maps of the pairs of layers
            "rkd_distance": 0.0,  # RKD: distances between images
            "rkd_angle": 0.0,  # RKD: angles between images
            "lesion_attention": 0.0,  # attention off the lesion, of images with a mask
            "right_reasons": 0.0,  # RRR: evidence off the lesion, of images with a mask
            "counterfactual": 0.0,  # confidence where lesion_infill took the lesion away
        }
    )

    config.cross_entropy = cross_entropy = ConfigDict()  # of both networks
    cross_entropy.class_weights = "none"  # or "balanced": n / (C n_c), of the training images
    cross_entropy.label_smoothing = 0.0  # share of the labels that is spread over all classes

    config.optimizer = optimizer = ConfigDict()
    optimizer.learning_rate = 1e-4  # AdamW
    optimizer.weight_decay = 1e-5
    optimizer.schedule = "cosine_epoch"  # or "cosine_step", "constant"
    optimizer.warmup_epochs = 0.0  # of a linear rise from 0, before the schedule
    optimizer.max_gradient_norm = 0.0  # longer gradients are scaled down to it; 0: none are
    # Share of an exponential moving average of the weights that each step keeps, such as 0.999;
    # the average is what is validated and saved as the best. 0: off.
    optimizer.ema_decay = 0.0
    # Each network may have values of its own, e.g. --config.student.optimizer.learning_rate=1e-3;
    # None takes the one above.
    for network in (teacher, student):
        network.optimizer = ConfigDict(
            {key: config_dict.placeholder(type(value)) for key, value in optimizer.items()}
        )

    config.early_stopping = early_stopping = ConfigDict()
    early_stopping.monitor = "accuracy"  # chooses the epoch; or "balanced_accuracy", "loss"
    early_stopping.patience = 5  # epochs without a better one, after which training stops
    # Minutes between checkpoints within an epoch, or 0 for one after every step; every epoch ends
    # with one anyway.
    config.checkpoint_minutes = 5.0

    if variant == "phantom":
        config.update(_phantom())
    return config


def _phantom() -> dict:
    """Small images and batches, and networks with random weights: nothing is downloaded."""
    return {
        "batch_size": 16,
        "data": {"source": "phantom", "image_size": 64},
        "teacher": {
            "pretrained": "none",
            "num_epochs": 3,
        },
        "student": {
            "pretrained": "none",
            "num_epochs": 6,
            # torchvision's MobileNetV3 keeps 99 % of its batch statistics at each step, which suits
            # fine-tuning; these few hundred steps from scratch would leave them at their start.
            "batch_norm_momentum": 0.9,
        },
        "optimizer": {"learning_rate": 1e-3, "schedule": "cosine_step"},
    }
