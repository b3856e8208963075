"""The artwork of the embedded model's world: 200 nameable things from Noto Emoji.

The sheet `assets/artwork/things.png` holds one RGBA cell of 128x128 pixels per thing, sixteen in a
row, cropped to what is visible and scaled so that the longer side fills the cell. `things.json`
gives names and categories in the same order.

    python -m cookbook_utils.tiny.artwork      # makes both again (needs the font and `pip install emoji`)

Sources: artwork from Noto Emoji (Google, SIL Open Font License 1.1); English and Chinese names are
the Unicode CLDR short names as carried by the PyPI package `emoji`, shortened where everyday English
is shorter ("dog" for "dog face").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "artwork"
CELL, COLUMNS = 128, 16
FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
FONT_SIZE = 109  # the only bitmap strike that the font carries

THINGS = {
    "animal": "🐶 🐱 🐭 🐹 🐰 🦊 🐻 🐼 🐨 🐯 🦁 🐮 🐷 🐸 🐵 🦝 🐺 🦓 🦒 🐘 🦏 🦛 🐪 🐐 🐎 🦘 🦔 🐊 🐢 🐍 🦇 🦌",
    "bird": "🐔 🐧 🦅 🦆 🦢 🦉 🦩 🦚 🦜 🐤 🦃",
    "sea animal": "🐳 🐬 🐟 🐠 🐡 🦈 🐙 🦀 🦞 🦑 🐚",
    "insect": "🐌 🦋 🐛 🐝 🐞 🦂 🕷️",
    "plant": "🌵 🌲 🌴 🌷 🌹 🌻 🌸 🍁 🍄 🍀 🪴",
    "fruit": "🍇 🍉 🍊 🍋 🍌 🍍 🍎 🍐 🍒 🍓 🥝 🥥 🍑",
    "vegetable": "🍅 🥑 🍆 🥔 🥕 🌽 🌶️ 🥦 🧅",
    "food": "🍞 🥐 🥨 🧀 🥚 🍔 🍟 🍕 🌭 🥪 🍿 🍣 🍩 🍪 🎂 🧁 🍦 🍭 🍫",
    "drink": "🍼 ☕ 🍷 🍺 🧃 🍵",
    "vehicle": "🚗 🚕 🚌 🚑 🚒 🚜 🚲 🛵 🚂 ✈️ 🚁 🚀 ⛵ 🚢",
    "landmark": "🏠 🏰 🗽 🗼 🎡 ⛲ ⛪ 🏭 🌋 🗿",
    "sport": "⚽ 🏀 🏈 🎾 🎳 🏓 🥊 🛹 🏆",
    "instrument": "🎸 🎹 🎺 🎻 🥁 🎷 🪗",
    "tool": "🔨 🪓 🔧 ✂️ 🔑 🔦 🧲 🔬 🔭 🧹",
    "clothing": "👕 👖 👗 🧦 👟 👠 🎩 🧢 👓 🧤 👑",
    "household item": "📷 📱 💻 ⌚ 📺 💡 🕯️ 📚 ✏️ 🎈 🎁 🧸 ⏰ ☂️ 🪑 🛏️ 🧳 🎒 💎 ⚓",
}
CATEGORY_PLURAL = {
    "animal": "animals", "bird": "birds", "sea animal": "sea animals", "insect": "insects", "plant": "plants",
    "fruit": "fruits", "vegetable": "vegetables", "food": "foods", "drink": "drinks", "vehicle": "vehicles",
    "landmark": "landmarks", "sport": "sports items", "instrument": "instruments", "tool": "tools",
    "clothing": "clothes", "household item": "household items",
}
CATEGORY_ZH = {
    "animal": "动物", "bird": "鸟", "sea animal": "海洋动物", "insect": "昆虫", "plant": "植物", "fruit": "水果",
    "vegetable": "蔬菜", "food": "食物", "drink": "饮料", "vehicle": "交通工具", "landmark": "地标", "sport": "运动用品",
    "instrument": "乐器", "tool": "工具", "clothing": "衣物", "household item": "日用品",
}
EVERYDAY = {
    "rhinoceros": "rhino", "hippopotamus": "hippo", "spouting whale": "whale", "spiral shell": "shell",
    "bug": "caterpillar", "honeybee": "bee", "lady beetle": "ladybug", "evergreen tree": "pine tree",
    "cherry blossom": "blossom", "four leaf clover": "clover", "ear of corn": "corn", "hot pepper": "pepper",
    "kiwi fruit": "kiwi", "red apple": "apple", "cheese wedge": "cheese", "soft ice cream": "ice cream",
    "hot beverage": "coffee", "beverage box": "juice box", "teacup without handle": "tea", "automobile": "car",
    "fire engine": "fire truck", "motor scooter": "scooter", "locomotive": "train", "Tokyo tower": "tower",
    "Statue of Liberty": "statue", "american football": "football", "tennis": "tennis racket",
    "ping pong": "table tennis bat", "musical keyboard": "piano keyboard", "running shoe": "sneaker",
    "high-heeled shoe": "high heel", "billed cap": "cap", "mobile phone": "phone", "wrapped gift": "gift",
    "gem stone": "gem", "baby chick": "chick", "doughnut": "donut", "french fries": "fries",
}  # fmt: skip
EVERYDAY_ZH = {"狗脸": "狗", "猫脸": "猫", "猪头": "猪", "猴头": "猴子", "喷水的鲸": "鲸鱼", "乒乓球": "乒乓球拍", "网球": "网球拍", "龟": "乌龟",
               "蟹": "螃蟹", "红苹果": "苹果", "老虎头": "老虎", "兔子头": "兔子", "老鼠头": "老鼠", "奶牛头": "奶牛"}  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """One kind of thing: its English and Chinese name, its category and its emoji."""

    index: int
    name: str
    name_zh: str
    category: str
    emoji: str


@lru_cache(maxsize=1)
def things() -> tuple[Thing, ...]:
    """All things of the world, in the order of the sheet.

    >>> len(things()), things()[0].name, things()[0].category
    (200, 'dog', 'animal')
    """
    rows = json.loads((FOLDER / "things.json").read_text(encoding="utf-8"))
    return tuple(Thing(index, **row) for index, row in enumerate(rows))


@lru_cache(maxsize=1)
def sprites() -> tuple[Image.Image, ...]:
    """One RGBA picture per thing, cropped to its visible part (longer side 128 px)."""
    sheet = Image.open(FOLDER / "things.png").convert("RGBA")
    cells = (divmod(index, COLUMNS) for index in range(len(things())))
    cut = (sheet.crop((c * CELL, r * CELL, (c + 1) * CELL, (r + 1) * CELL)) for r, c in cells)
    return tuple(cell.crop(visible_box(cell)) for cell in cut)


def visible_box(image: Image.Image, threshold: int = 48) -> tuple[int, int, int, int]:
    """Bounding box `(x1, y1, x2, y2)` of the pixels whose alpha exceeds `threshold` (0-255)."""
    alpha = np.asarray(image.getchannel("A")) > threshold
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def render_emoji(emoji: str, font_path: str = FONT) -> Image.Image:
    """Draws one emoji from the colour font into a cell of 128x128 pixels."""
    canvas = Image.new("RGBA", (160, 160))
    font = ImageFont.truetype(font_path, FONT_SIZE)
    ImageDraw.Draw(canvas).text((8, 8), emoji, font=font, embedded_color=True)
    cut = canvas.crop(visible_box(canvas))
    scale = CELL / max(cut.size)
    cut = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), Image.Resampling.LANCZOS)
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(cut, ((CELL - cut.width) // 2, (CELL - cut.height) // 2))
    return cell


def names_of(emoji: str) -> dict[str, str]:
    """English and Chinese name of one emoji, from CLDR by way of the package `emoji`."""
    import emoji as cldr

    cldr.config.load_language("zh")
    english = cldr.demojize(emoji).strip(":").replace("_", " ").removesuffix(" face")
    chinese = cldr.demojize(emoji, language="zh").strip(":").replace("_", "")
    return {"name": EVERYDAY.get(english, english), "name_zh": EVERYDAY_ZH.get(chinese, chinese)}


def build(font_path: str = FONT) -> None:
    """Makes `things.png` and `things.json` from the installed colour font."""
    listed = [(category, symbol) for category, line in THINGS.items() for symbol in line.split()]
    rows = [{**names_of(symbol), "category": category, "emoji": symbol} for category, symbol in listed]
    sheet = Image.new("RGBA", (COLUMNS * CELL, -(-len(rows) // COLUMNS) * CELL))
    for index, (_, symbol) in enumerate(listed):
        sheet.paste(render_emoji(symbol, font_path), (index % COLUMNS * CELL, index // COLUMNS * CELL))
    FOLDER.mkdir(parents=True, exist_ok=True)
    sheet.save(FOLDER / "things.png", optimize=True)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (FOLDER / "things.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    build()
