"""The embedded model's tokenizer, chat template and processor.

A byte-level BPE with Qwen's special tokens. Digits are always single tokens, as in Qwen; unlike
Qwen's, the pre-tokenizer keeps the scaffolding of a grounding reply in one piece, so that a box costs
about twenty tokens. The unchanging texts of tools (their signatures, the sentences around them, the beginnings of calls
and of a turn of the agents' loop) are one token each: what is declared and asked is word for word what the real model gets,
but a declared tool costs about ten tokens and not five hundred. Any text can be encoded and comes back unchanged.

The chat template writes Qwen3-VL's format: pictures and videos as vision tokens, optional
"Picture 1: " ids, tools in the system turn, tool calls and tool responses in their tags.

    python -m cookbook_utils.tiny.tokenizer FOLDER              # makes tokenizer and processor files
    python -m cookbook_utils.tiny.tokenizer FOLDER --grow CHECKPOINT   # and brings a checkpoint's weights along
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ..agents.loop import step_messages
from ..agents.phone import FOLDER as PHONE_FOLDER
from ..agents.schemas import TOOL_NAMES, tool_prompt, tool_schemas, write_call
from .artwork import CATEGORY_PLURAL, CATEGORY_ZH, things
from .model import MERGE, PATCH, tiny_config

VOCAB_SIZE = 3072
MIN_PIXELS, MAX_PIXELS = 16_384, 81_920  # 16 to 80 visual tokens a picture
FRAME_TOKENS = 20  # at most, of a video's frame: 128x128 or 160x128 pixels, the sizes of the clips that it is trained on

SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
VISIBLE = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]

SCAFFOLD = r'```json\n\[\n\t|\{"(?:bbox_2d|point_2d|bbox_3d)": \[|\], "(?:label|name|name_en|text_content)": "|"\}(?:,\n\t|\n\]\n```)?|", "(?:label|category|name_zh)": "| data-bbox="|, (?=-?\d)'
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

CHAT_TEMPLATE = """\
{%- macro show(content) -%}
  {%- if content is string -%}{{- content -}}
  {%- else -%}
    {%- for part in content -%}
      {%- if part.type in ('image', 'image_url') or 'image' in part or 'image_url' in part -%}
        {%- set seen.images = seen.images + 1 -%}
        {%- if add_vision_id -%}Picture {{ seen.images }}: {% endif -%}
        <|vision_start|><|image_pad|><|vision_end|>
      {%- elif part.type in ('video', 'video_url') or 'video' in part -%}
        {%- set seen.videos = seen.videos + 1 -%}
        {%- if add_vision_id -%}Video {{ seen.videos }}: {% endif -%}
        <|vision_start|><|video_pad|><|vision_end|>
      {%- elif 'text' in part -%}{{- part.text -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
{%- set seen = namespace(images=0, videos=0) -%}
{%- set system = messages[0].role == 'system' -%}
{%- if tools -%}
  {{- '<|im_start|>system\\n' -}}
  {%- if system -%}{{- show(messages[0].content) + '\\n\\n' -}}{%- endif -%}
  {{- '# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n' -}}
  {{- 'You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' -}}
  {%- for tool in tools -%}{{- '\\n' + (tool | tojson) -}}{%- endfor -%}
  {{- '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments within ' -}}
  {{- '<tool_call></tool_call> XML tags:\\n<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call><|im_end|>\\n' -}}
{%- elif system -%}
  {{- '<|im_start|>system\\n' + show(messages[0].content) + '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}
    {{- '<|im_start|>user\\n' + show(message.content) + '<|im_end|>\\n' -}}
  {%- elif message.role == 'assistant' -%}
    {{- '<|im_start|>assistant\\n' + show(message.content or '') -}}
    {%- for call in message.tool_calls or [] -%}
      {%- set call = call.function or call -%}
      {{- '\\n' if not loop.first or message.content else '' -}}
      {{- '<tool_call>\\n{"name": "' + call.name + '", "arguments": ' -}}
      {{- call.arguments if call.arguments is string else call.arguments | tojson -}}
      {{- '}\\n</tool_call>' -}}
    {%- endfor -%}
    {{- '<|im_end|>\\n' -}}
  {%- elif message.role == 'tool' -%}
    {%- if loop.first or loop.previtem.role != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
    {{- '\\n<tool_response>\\n' + show(message.content) + '\\n</tool_response>' -}}
    {%- if loop.last or loop.nextitem.role != 'tool' -%}{{- '<|im_end|>\\n' -}}{%- endif -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""

# Strings of the replies and prompts that pages, solids, clips, screens and tools need.
SNIPPETS = """
{"bbox_3d": [1.25, -0.5, 3.75, 0.5, 0.5, 1.0, 0.0, 0.125, 0.0], "label": "box"}
<tool_call>\n{"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [512, 345]}}\n</tool_call>
<tool_call>\n{"name": "mobile_use", "arguments": {"action": "click", "coordinate": [120, 830]}}\n</tool_call>
{"action": "swipe", "coordinate": [500, 800], "coordinate2": [500, 200]} {"action": "type", "text": "hello"}
{"action": "terminate", "status": "success"} {"action": "system_button", "button": "Back"} {"action": "open", "text": "Clock"}
key type mouse_move left_click left_click_drag right_click double_click triple_click scroll hscroll wait answer long_press
{"name": "image_zoom_in_tool", "arguments": {"label": "sign", "bbox_2d": [100, 200, 300, 400], "img_idx": 0}}
<h1 class="title" data-bbox="12 34 567 89">Title</h1> <p class="text" data-bbox=""></p> <h2> <ul> <li> <table> <tr> <td> <th> <div> <img>
qwenvl html qwenvl markdown <!-- Image (12, 34, 567, 890) --> <!-- Table (12, 34, 567, 890) -->
Read all the text in the image. Extract the key information as JSON. Spotting all the text with line-level bounding boxes.
{"company": null, "date": "2024-05-17", "total": "12.50", "address": "Main Street", "invoice": "number", "phone": "value"}
import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(6, 4))\nax.bar(labels, values)\nax.plot(x, y)\nax.set_title("")\nplt.show()
```python\n```html\n```\n<!DOCTYPE html>\n<html>\n<head>\n<style>\n<body>\n</body>\n</html>
{"start": "00:01.50", "end": "00:04.00", "description": "the dog enters from the left"} <2.0 seconds> when does it happen?
The answer is A. (A) (B) (C) (D) left right in front of behind on top of nearest farthest page 1 of 12 video frame second
receipt invoice total tax cash change date time price quantity item name address email phone order number ticket form chart table figure
Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August September October November December
"""  # fmt: skip

# What is asked of the phone and of MiniWoB++ pages, and of what is on them.
SCREEN_GOALS = """
Turn on Bluetooth; Switch Wi-Fi off; Please turn off Airplane mode; Use the dark theme; Set the text size to large; Set the ringtone to
Which model is this phone? Which system version does this phone have? How much storage is free? What did Ada write last?
Send Ben the message "Meet me at 8:30"; Write "Happy birthday" to Carla; Tell Emma: "I am late"; Read me the last message from Felix
Delete the conversation with; Remove the messages from; Pin Grace to the top of the messages; Turn on the 07:30 alarm; Wake me at 06:45
Set a timer for 10 minutes; Start a timer; Add 2 x Lamp to the cart; Buy the mug; Order one in the shop; What does the bag cost?
Make a note: "Call Nora"; Delete the note; Tick milk in the note; Untick bread on the list; What will the weather be on Friday? How warm will it get
Click on the "Submit" button. Click on the link "amet". Click button ONE, then click button TWO. Click on Tab #2. Close the dialog box by clicking the "x".
Select Io, fTr9y and click Submit. Expand the section below, to find and click on the link. Select all the shades of red and press Submit.
Enter "Dolores" into the text field and press Submit. Enter the username and the password into both text fields and press login.
Enter 08/28/2012 as the date and hit submit. Focus into the 3rd input textbox. Click on the grid coordinate (-2,0). Click on a small black item
How many large blue triangles are there? Solve the math problem and type your answer into the textbox. Drag the circle down then press
Drag the smaller box so that it is completely inside the larger box. Find the 13th word in the paragraph, type that into the textbox
Select 100 with the slider and hit Submit. Enter the value of Language into the text field. Navigate through the file tree.
Find the email by Tammi and click the trash icon to delete it. Use the textbox to enter and press "Search", then find and click the 1st search result.
Step 1: click [512, 345]; Step 2: left_click [120, 830]; Step 3: type "hello"; Step 4: system_button Home; Step 5: swipe [500, 780] [500, 280]
Tap the "Send" button; the switch next to; the text field; the checkbox labeled; the radio button; Is it turned on? Answer yes or no.
Is "Wi-Fi" on the screen? What is written to the right of "Battery"? Where do I have to click for the back arrow? Output its point_2d in JSON format.
"""  # fmt: skip


def fixed_texts() -> list[str]:
    """Texts of tools, of calls and of the agents' loop that are always the same; each is one token."""
    tools = [json.dumps(tool, ensure_ascii=False) for tool in tool_schemas(*TOOL_NAMES)]
    around = tool_prompt(TOOL_NAMES[0]).split(tools[0])
    turn = step_messages("@", [], [Image.new("RGB", (32, 32))])[0]["content"][1]["text"].split("@")
    calls = [write_call(name, {"action": "@"}).removeprefix("<tool_call>").split("@")[0] for name in ("computer_use", "mobile_use")]
    calls += ['\n{"name": "image_zoom_in_tool", "arguments": {"label": "', '", "bbox_2d": [', '], "img_idx": ']
    calls += ['", "coordinate": [', '], "coordinate2": [', '", "text": "', '", "status": "', '", "button": "', '", "keys": ["']
    return [*tools, *around, *(part.rstrip("\n") for part in turn), *calls, ']}}\n', '"}}\n', '"]}}\n']


def screen_words() -> Iterator[str]:
    """What is written on the phone's screens, and what is asked of screens."""
    for name in ("data.js", "apps.js"):
        yield from re.findall(r'"([\w .,?$-]{2,40})"', (PHONE_FOLDER / name).read_text(encoding="utf-8"))
    yield from SCREEN_GOALS.splitlines()


def corpus(samples: int = 6000, seed: int = 7) -> Iterator[str]:
    """Questions and answers of every family that is made up on the spot, every name of the world, words of screens, `SNIPPETS`."""
    from .families import FAMILIES

    rng = np.random.default_rng(seed)
    made_up = [family for family in FAMILIES.values() if not family.unseen]
    for family in made_up:
        for _ in range(samples // len(made_up) // 6):
            for turn in family.make(rng, next(iter(family.sizes))).turns:
                yield turn.prompt
                yield turn.answer
    for thing in things():
        yield from [f'"{thing.name}" {thing.name}\n{thing.name}', f"{thing.name_zh}、{thing.name_zh}"] * 12
    for category in CATEGORY_PLURAL:
        yield from [f" {category} {CATEGORY_PLURAL[category]}\n{category}\n{CATEGORY_ZH[category]}"] * 12
    yield from [line.replace("\\n", "\n") for line in SNIPPETS.splitlines()] * 30
    yield from [*screen_words()] * 12


def train_tokenizer(vocab_size: int = VOCAB_SIZE, samples: int = 6000):
    """Trains the BPE on `corpus(samples)` and wraps it as a fast tokenizer."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe, visible = Tokenizer(models.BPE()), [*VISIBLE, *fixed_texts()]
    split = pre_tokenizers.Split(Regex(f"{SCAFFOLD}|{WORDS}"), behavior="isolated")
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(visible),
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus(samples), trainer)
    bpe.add_tokens([AddedToken(text, special=False, normalized=False) for text in visible])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token="<|endoftext|>",
        extra_special_tokens=SPECIAL[1:2] + SPECIAL[3:], model_max_length=32768, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def build_processor(tokenizer):
    """The `Qwen3VLProcessor` with the embedded model's pixel budget and chat template."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    mean = dict(image_mean=[0.5] * 3, image_std=[0.5] * 3, patch_size=PATCH, merge_size=MERGE, temporal_patch_size=2)
    image = Qwen2VLImageProcessor(size={"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS}, **mean)
    budget = dict(size={"shortest_edge": 4096, "longest_edge": 12 * MAX_PIXELS}, cap_pixels_per_frame=True, max_video_tokens=FRAME_TOKENS)
    video = Qwen3VLVideoProcessor(**budget, **mean)
    return Qwen3VLProcessor(image, tokenizer, video, chat_template=CHAT_TEMPLATE)


def transplant(model, old, new) -> None:
    """Gives a model a new tokenizer: a token that was known keeps its embedding, another starts as the mean of its old pieces.

    Input and output embeddings are one matrix in this model; its ids of special tokens are brought up to date.
    """
    import torch

    before, known = model.get_input_embeddings().weight.detach().clone(), old.get_vocab()
    model.resize_token_embeddings(len(new), mean_resizing=False)
    after = model.get_input_embeddings().weight
    with torch.no_grad():
        for token, index in new.get_vocab().items():
            pieces = [known[token]] if token in known else old(new.convert_tokens_to_string([token]), add_special_tokens=False).input_ids
            after[index] = before[pieces].mean(0)
    fresh = tiny_config(new)
    for part, own in ((model.config, fresh), (model.config.text_config, fresh.text_config)):
        own_ids = {name: value for name, value in own.to_dict().items() if name.endswith(("_token_id", "vocab_size"))}
        for name, value in own_ids.items():
            setattr(part, name, value)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the embedded model's tokenizer and processor.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--grow", type=Path, help="a checkpoint whose weights are brought along to the new tokenizer")
    args = parser.parse_args()
    processor = build_processor(train_tokenizer())
    if args.grow:
        from .train import HEAD, save_checkpoint, start_from

        old, model = start_from(str(args.grow))
        transplant(model, old.tokenizer, processor.tokenizer)
        save_checkpoint(model, processor, args.folder)
        shutil.copy(args.grow / HEAD, args.folder / HEAD)
    processor.save_pretrained(args.folder)
    print(f"{args.folder}: {len(processor.tokenizer)} tokens")


if __name__ == "__main__":
    main()
