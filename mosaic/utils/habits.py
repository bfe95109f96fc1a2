"""What users of other programs write, and what it is called here."""

from __future__ import annotations

from collections.abc import Collection

# By the names that other programs give to a flag: those that it may be meant as here, flags or
# settings. The first flag that the command has is named, or where it has none, all the settings.
# FILE is an argument without a flag.
_MEANT = {
    "lr lr0 base_lr init_lr eta": "gin.LEARNING_RATE",
    "max_iters num_iters iters iterations": "runs gin.TRAIN_STEPS",
    "epochs epoch num_epochs max_epochs steps num_steps max_steps": "gin.TRAIN_STEPS",
    "batch bs b train_batch_size samples_per_gpu": "gin.BATCH_SIZE gin.Evaluation.batch_size",
    "imgsz img_size image_size input_size input_shape resolution crop shape": (
        "size gin.CROP_SIZE gin.Evaluation.input_size"
    ),
    "data dataset dataset_dir data_path data_root root train_data": "data_dir",
    "source input inputs image img imgs files": "images data_dir",
    "video videos": "images",
    "images masks annotations labels_dir": "data_dir",
    "resume resume_from": "model_dir",
    "nc n_classes classes": "gin.NUM_CLASSES",
    "labels names class_names palette": "label_map gin.LABEL_MAP",
    "model": "checkpoint FILE gin_file",
    "graph model_file model_path": "model checkpoint FILE",
    "net network arch": "gin_file",
    "weights": "model checkpoint FILE gin.INIT_CHECKPOINT",
    "ckpt ckpt_path checkpoint checkpoint_path pretrained load_from": (
        "model checkpoint gin.INIT_CHECKPOINT"
    ),
    "model_dir run run_dir": "model model_dir",
    "out output output_dir outdir out_dir save_dir save_path results": (
        "output_dir export_dir model_dir"
    ),
    "workdir work_dir logdir log_dir project": "model_dir output_dir export_dir",
    "config cfg config_file experiment exp recipe yaml": "gin_file",
    "device devices gpu gpus gpu_id gpu_ids num_gpus": "gin.runtime.devices",
    "amp fp16 half mixed_precision dtype bf16": "quantize gin.runtime.precision",
    "int8 quantization quantized float16": "quantize",
    "opt": "gin.train.optimizer",
    "wd decay": "gin.WEIGHT_DECAY",
    "warmup warmup_iters warmup_epochs num_warmup warmup_runs": "warmup gin.WARMUP_STEPS",
    "freeze frozen": "gin.train.frozen_prefixes",
    "ema ema_decay": "gin.train.average_decay",
    "early_stopping": "gin.train.patience",
    "max_time time_limit": "gin.train.hours",
    "num_threads n_threads cpus": "threads gin.runtime.threads",
    "num_runs repeat": "runs",
    "dry_run print_config summary": "show_config",
    "subset": "split",
    "show_dir visualize plots": "all_overlays",
    "tiles slide sliding_window": "tile gin.Evaluation.window",
    "tta multi_scale multiscale": "gin.Evaluation.scales gin.Evaluation.flip",
    "mean std normalize": "normalization",
    "delegate use_gpu use_nnapi": "delegates",
    "cfg_options options set override overrides params_override": "gin.NAME",
    # A threshold for detections, and processes that load data: flags that sound alike are others.
    "conf prob probability workers num_workers": "",
}
_BY_NAME = {name: meant.split() for names, meant in _MEANT.items() for name in names.split()}


def meant_flag(name: str, known: Collection[str]) -> str:
    """Returns the flag that another program's flag is meant as; empty if the command has none.

    Args:
      name: name of the flag, in small letters with `_`.
      known: the command's flags.
    """
    return next((flag for flag in _BY_NAME.get(name, ()) if flag in known), "")


def meant_settings(name: str) -> list[str]:
    """Returns the settings that another program's flag may be meant as, such as `LEARNING_RATE`."""
    found = _BY_NAME.get(name, ())
    return [meant.removeprefix("gin.") for meant in found if meant.startswith("gin.")]


def means_file(name: str) -> bool:
    """Returns whether another program's flag names a model's file."""
    return "FILE" in _BY_NAME.get(name, ())


def is_known(name: str) -> bool:
    """Returns whether other programs have a flag of this name, also where there is none here."""
    return name in _BY_NAME


def remark(name: str) -> str:
    """Returns what is counted otherwise here than under another program's name; mostly nothing."""
    return ", in steps of BATCH_SIZE images" if "epoch" in name.lower() else ""
