"""What the embedded model's pages say: about 400 English words, 60 Chinese ones, and numbers that nobody can guess.

Every text is drawn with the generator that is passed in. It holds letters, digits and `.,:;-/+#%$()'`, never a quote,
a backslash or an angle bracket, so that it stands in JSON and HTML as it stands on the page.
"""

from __future__ import annotations

import numpy as np

from .turns import pick


def words(text: str, *, separator: str | None = None) -> tuple[str, ...]:
    """The words of a text, in their order."""
    return tuple(" ".join(part.split()) for part in text.split(separator))


NOUNS = words(
    """apple arm art baby back bag ball bank bath bed bell bench bike bird board boat body bone book bottle box boy branch
    bread bridge brush building bus cake camera car card carpet cat chain chair chest child church circle city clock cloud
    coast coat coin corner cotton country cow crown cup dance day desk dinner dog door dream dress drum edge egg engine
    evening eye face farm field film finger fire fish flag floor flower food foot forest friend fruit game garden gate girl
    glass gold grass group guest hall hammer hand harbour hat head heart hill history holiday home horse hospital hotel hour
    house hunter idea island jacket judge key kitchen knife lake lamp land law leaf letter library light line lion list
    lunch machine map market meal metal milk mill minute mirror money month moon morning mountain mouth museum music nail
    name neck news night north note number ocean office oil orange owner page paint paper parcel park party path pencil
    people picture pipe plane plant plate player pocket poet pool port prize queen question radio rain rice ring river road
    rock roof room rope rule sail salt sand school science sea season seat ship shirt shoe shop shoulder side silver sister
    sky snow soap song south spoon spring square stage star station stone storm story street student sugar summer sun
    surface table tail teacher team theatre thread ticket tiger time tooth tower town track trade train tree truck uncle
    valley village voice wall watch water wave week wheel window winter wire woman wood word work worker world year"""
)
ADJECTIVES = words(
    """big black blue bright broad brown busy calm clean clear cold cool dark deep dry early empty fair fast fine first flat
    free fresh full golden good grand great green happy hard heavy high kind large last late light little long loud low
    narrow new nice old open plain poor proud quick quiet red rich round safe second sharp short simple slow small soft
    strong sweet tall thick thin warm weak white wide wild wise wooden yellow young"""
)
VERBS = words(
    """becomes breaks brings builds buys calls carries changes closes covers crosses draws enters fills finds follows gives
    grows helps holds keeps leaves likes makes meets moves needs opens paints passes reaches sees sells sends serves shows
    starts stops takes teaches touches turns visits wants watches"""
)
PREPOSITIONS = words("""after before behind beside for from in near on over to under with""")
ITEMS = words(
    """Apples Bacon Bananas Basil Beans Beef Bread Butter Cake Candy Carrots Cheese Cherries Chicken Chips Coffee Cookies Corn
    Cream Donut Eggs Fish Flour Garlic Grapes Ham Honey Ice Jam Juice Lemons Lentils Lettuce Mango Melon Milk Mint Muffin
    Noodles Nuts Oats Olives Onions Oranges Pasta Peaches Pears Peas Pepper Pizza Plums Potatoes Rice Salad Salmon Salt
    Sandwich Soap Soup Spinach Steak Sugar Tea Toast Tofu Tomatoes Tuna Vinegar Waffle Water Yogurt"""
)
GOODS = words(
    """Battery Bulb Cable Candle Chair Clock Desk Drill Fan Glue Hammer Hose Lamp Lock Mirror Nails Paint Paper Pens Pump Rope
    Saw Screws Shelf Stool Tape Tent Torch Valve Wire"""
)
FIRST_NAMES = words(
    """Adam Alice Anna Ben Carla Clara David Ella Emma Eric Eva Felix George Grace Hugo Ivan Jack Julia Karl Laura Leo Lily
    Maria Mark Mia Nina Noah Olga Oscar Paul Peter Rosa Ruth Sam Sara Simon Sofia Tom Vera Will"""
)
SURNAMES = words(
    """Adams Baker Bell Brown Carter Clark Cole Cook Davis Ellis Evans Fisher Ford Fox Gray Green Hall Harris Hill Hunt Jones
    King Lane Lee Lewis Moore Nash Parker Price Reed Rose Scott Shaw Smith Stone Turner Wade Ward West Young"""
)
CITIES = words(
    """Arden Bristol Brook Cairo Carlow Dover Dublin Easton Elgin Exeter Geneva Glasgow Harlow Kent Leeds Lima Lisbon London
    Lyon Madrid Milan Newport Oslo Oxford Paris Porto Prague Quito Riga Rome Seoul Tunis Turin Vienna York Zurich"""
)
COMPANY_KINDS = words(
    """Bakery Bank Books Cafe Cars Clinic Foods Garden Hotel Market Museum Music Pharmacy Press Shop Sports Store Studio Taxi
    Theatre Tools Toys Travel"""
)
STREET_KINDS = words("""Street Road Avenue Lane Square Way""")
MONTHS = words("""January February March April May June July August September October November December""")
DAYS = words("""Monday Tuesday Wednesday Thursday Friday Saturday Sunday""")
SIGNS = words(
    """Exit|Entrance|No Parking|Keep Left|Keep Right|Push|Pull|Open|Closed|Sale|Caution|Danger|Ring Bell|Pay Here|Staff
    Only|Wet Floor|Lift|Stairs|Toilets|Information|Reception|Ticket Office|Bus Stop|Taxi|No Entry|Private|For Rent|Fresh
    Fish|Hot Soup|Free Wifi|Welcome|Thank You|Please Wait|No Smoking|Slow Down|Dead End|Road Works|One Way|Lost and
    Found|First Aid""",
    separator="|",
)
CHINESE = words(
    """出口 入口 停车场 医院 学校 银行 超市 书店 饭店 茶馆 咖啡 面包 牛奶 鸡蛋 米饭 苹果 香蕉 西瓜 豆腐 牛肉 地铁站 火车站 机场 公园 图书馆 博物馆 电影院 洗手间 电梯 安全出口 请勿吸烟 小心地滑 欢迎光临 谢谢 营业中
    休息 推 拉 北京 上海 广州 成都 中山路 人民路 长江路 今天 明天 星期一 上午 下午 日期 合计 价格 电话 地址 姓名 数量 发票 收据 票价"""
)


def title_case(words: list[str]) -> str:
    """Words with a capital each, as in a heading."""
    return " ".join(word.capitalize() for word in words)


def word(rng: np.random.Generator) -> str:
    """One common word: a noun or an adjective, lower case, with a capital, or in capitals."""
    found = pick(rng, NOUNS if rng.random() < 0.7 else ADJECTIVES)
    return (found, found.capitalize(), found.upper())[int(rng.choice(3, p=(0.4, 0.4, 0.2)))]


def heading(rng: np.random.Generator) -> str:
    """A short heading such as "The Quiet Harbour" or "Market Report"."""
    noun, adjective, other = pick(rng, NOUNS), pick(rng, ADJECTIVES), pick(rng, NOUNS)
    kind = pick(rng, ("report", "guide", "plan", "notes", "story", "rules", "news", "list"))
    return title_case(pick(rng, (["the", adjective, noun], [noun, kind], [adjective, noun], [noun, "and", other])))


def sentence(rng: np.random.Generator) -> str:
    """A plain sentence of five to ten words, sometimes with a number."""
    subject = ["The", pick(rng, ADJECTIVES), pick(rng, NOUNS)] if rng.random() < 0.5 else ["The", pick(rng, NOUNS)]
    thing = pick(rng, (["the"], ["a", "new"], [str(int(rng.integers(2, 99)))], ["every"])) + [pick(rng, NOUNS)]
    rest = [] if rng.random() < 0.4 else [pick(rng, PREPOSITIONS), pick(rng, ("the", "this", "that")), pick(rng, NOUNS)]
    return " ".join([*subject, pick(rng, VERBS), *thing, *rest]) + "."


def price(rng: np.random.Generator, low: float = 0.5, high: float = 99.0) -> str:
    """An amount with two decimals, small ones as often as large ones."""
    return f"{np.exp(rng.uniform(np.log(low), np.log(high))):.2f}"


def date(rng: np.random.Generator) -> str:
    """A date between 1995 and 2035 in one of five notations."""
    year, month, day = int(rng.integers(1995, 2036)), int(rng.integers(1, 13)), int(rng.integers(1, 29))
    return pick(rng, (
        f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}", f"{month:02}/{day:02}/{year}",
        f"{day} {MONTHS[month - 1][:3]} {year}", f"{MONTHS[month - 1][:3]} {day}, {year}",
    ))  # fmt: skip


def time_of_day(rng: np.random.Generator) -> str:
    """A time such as 07:45."""
    return f"{int(rng.integers(0, 24)):02}:{int(rng.integers(0, 60)):02}"


def digits(rng: np.random.Generator, count: int) -> str:
    """A number of `count` random digits, leading zeros allowed."""
    return "".join(map(str, rng.integers(0, 10, count)))


def letters(rng: np.random.Generator, count: int) -> str:
    """Random capital letters, without I and O, which look like digits."""
    return "".join("ABCDEFGHJKLMNPQRSTUVWXYZ"[i] for i in rng.integers(0, 24, count))


def code(rng: np.random.Generator) -> str:
    """A code of letters and digits such as K7-4821."""
    return pick(rng, (
        f"{letters(rng, 1)}{digits(rng, 1)}-{digits(rng, 4)}", f"{letters(rng, 2)}{digits(rng, 4)}", f"{letters(rng, 3)}-{digits(rng, 3)}",
        f"{digits(rng, 3)}{letters(rng, 2)}{digits(rng, 2)}", f"#{digits(rng, 6)}", f"{letters(rng, 2)}/{digits(rng, 5)}",
    ))  # fmt: skip


def phone(rng: np.random.Generator) -> str:
    """A telephone number in one of three notations."""
    return pick(
        rng,
        (
            f"555-{digits(rng, 4)}",
            f"0{digits(rng, 2)} {digits(rng, 3)} {digits(rng, 3)}",
            f"({digits(rng, 3)}) 555-{digits(rng, 4)}",
        ),
    )


def person(rng: np.random.Generator) -> str:
    """A first name and a surname."""
    return f"{pick(rng, FIRST_NAMES)} {pick(rng, SURNAMES)}"


def company(rng: np.random.Generator) -> str:
    """A company such as "Blue Bakery", "Stone Travel" or "Carter Books"."""
    first = pick(rng, (pick(rng, ADJECTIVES), pick(rng, NOUNS), pick(rng, SURNAMES), pick(rng, CITIES)))
    return f"{first.capitalize()} {pick(rng, COMPANY_KINDS)}"


def street(rng: np.random.Generator) -> str:
    """A house number and a street."""
    name = pick(rng, (pick(rng, NOUNS), pick(rng, ADJECTIVES), pick(rng, SURNAMES)))
    return f"{int(rng.integers(1, 300))} {name.capitalize()} {pick(rng, STREET_KINDS)}"


def city(rng: np.random.Generator) -> str:
    """A postal code and a city, either of them first."""
    place = pick(rng, CITIES)
    return pick(
        rng, (f"{digits(rng, 5)} {place}", f"{place} {letters(rng, 2)}{digits(rng, 1)} {digits(rng, 1)}{letters(rng, 2)}")
    )


def snippet(rng: np.random.Generator) -> str:
    """Anything short that stands alone: a word, two words, a price, a date, a code, a number, a name."""
    kinds = (word, lambda r: f"{word(r)} {word(r)}", lambda r: "$" + price(r), price, date, code, phone, person, time_of_day,
             street, company, lambda r: digits(r, int(r.integers(1, 7))), lambda r: pick(r, SIGNS), lambda r: pick(r, ITEMS))  # fmt: skip
    return pick(rng, kinds)(rng)
