"""Helpers of the Qwen3-VL Cookbooks, all reachable from here: `from cookbook_utils import load_model, parse_boxes, draw_boxes`.

Importing the package imports none of its modules: a name's module is loaded when the name is first used (PEP 562),
so that reading a reply never waits for torch.
"""

from importlib import import_module

__version__ = "0.1.0"

_NAMES_OF = {
    "coordinates": ("to_pixels", "to_grid", "iou", "drop_duplicates", "image_tokens"),
    "parsing": (
        "Parsed", "ParsedDict", "ReplyError", "parse_boxes", "parse_points", "parse_boxes_3d", "parse_events", "parse_tool_calls",
        "split_thinking", "extract_code", "parse_json",
    ),
    "drawing": ("draw_boxes", "draw_points", "contact_sheet", "label_colors"),
    "geometry3d": (
        "Camera", "bbox_2d_of", "box_corners", "box_edges", "draw_boxes_3d", "iou_3d", "project_points", "rotation_matrix", "to_open3d",
    ),
    "video": (
        "Frames", "VideoInfo", "crop_clip", "format_timestamp", "interleave", "probe", "sample_frames", "video_tokens", "write_video",
    ),
    "pdf": ("pdf_pages", "pdf_sizes", "plan_pages"),
    "documents": ("Elements", "clean_html", "crop_elements", "parse_qwenvl_html", "parse_qwenvl_markdown"),
    "dataframes": ("tables",),
    "sandbox": ("Result", "run_python"),
    "rendering": ("compare_images", "render_html"),
    "models": ("load_model", "BatchError", "CacheMiss", "ModelError"),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(sorted(_MODULE_OF))}")
    value = globals()[name] = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
