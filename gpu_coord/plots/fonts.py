"""Texts of archives -> texts that the fonts of this machine can draw.

The one idea: matplotlib takes each sign from the first font of a chain that has it, and a word that
no font of the chain can draw is named by its script, never shown as boxes.
"""

import re
import unicodedata
from functools import cache
from pathlib import Path
from zlib import crc32

FALLBACK = "DejaVu Sans"  # comes with matplotlib
# The first of each script that the machine has serves; coloured emoji are pictures, not outlines.
FONTS = (
    "Noto Sans", "Noto Sans Thai", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari",
    "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Ethiopic", "Noto Sans Symbols",
    "Noto Sans Symbols 2", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR",
    "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "Noto Emoji", "Symbola", "Arial Unicode MS",
    "PingFang SC", "Microsoft YaHei", "Malgun Gothic", "Leelawadee UI", "Thonburi", "Geeza Pro",
    "Nirmala UI", "Segoe UI", "Segoe UI Emoji",
)  # fmt: skip
_FILES = {"NotoSansCJK-Regular", *(f"{name.replace(' ', '')}-Regular" for name in FONTS)}
_VARIANTS = re.compile("[\ufe00-\ufe0f]")  # say how to draw the sign before; no font has a sign


@cache
def choose_fonts() -> tuple[str, ...]:
    """Return the families to take signs from, in this order: matplotlib's own, then FONTS.

    Matplotlib lists the fonts of a machine once; those of ours that came later are added.
    """
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {Path(font.fname).stem for font in fontManager.ttflist}
    for path in map(Path, sorted(findSystemFonts())):
        if path.stem in _FILES - known:
            fontManager.addfont(path)
    installed = set(fontManager.get_font_names())
    return (FALLBACK, *(name for name in FONTS if name in installed))


@cache
def list_signs() -> frozenset[int]:
    """Return the code points that a font of the chain has."""
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    fonts = (FT2Font(findfont(name, fallback_to_default=False)) for name in choose_fonts())
    return frozenset(code for font in fonts for code in font.get_charmap())


def make_drawable(text: str) -> str:
    """Return a text without words that no font can draw: they are named by their script.

    Nothing changes where text stays text, as in the SVG of a timeline: readers have fonts.

    Parameters
    ----------
    text
        One line without control characters.

    Returns
    -------
        The text; a word that cannot be drawn is like ``[Thai 5c1e]``, the script and a check sum
        that tells it from others.
    """
    import matplotlib as mpl

    if text.isascii() or mpl.rcParams["svg.fonttype"] == "none":
        return text
    return " ".join(_name_word(word) for word in _VARIANTS.sub("", text).split(" "))


def _name_word(word: str) -> str:
    lacking = [sign for sign in word if ord(sign) not in list_signs()]
    if not lacking:
        return word
    return f"[{_name_script(lacking[0])} {crc32(word.encode()) & 0xFFFF:04x}]"


def _name_script(sign: str) -> str:
    if unicodedata.category(sign)[0] == "S":
        return "Emoji" if ord(sign) >= 0x1F000 else "Sign"
    return unicodedata.name(sign, "sign").split(" ")[0].split("-")[0].capitalize()
