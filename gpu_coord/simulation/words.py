"""What posts and profiles are made of: columns, vocabularies and phrases.

In: a seed and languages. Out: the columns of the 2020-09 release, and the phrases of texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpu_coord.simulation.draws import open_stream

if TYPE_CHECKING:
    from gpu_coord.simulation.draws import Ints

KINDS = ("hashtag", "url", "mention")
N_SLOTS = (3, 2, 2)  # places for entities of a kind in one post
N_PHRASES = 3  # phrases in one text
PHRASES_PER_LANGUAGE = 256

PROFILE_COLUMNS = (
    "userid user_display_name user_screen_name user_reported_location user_profile_description "
    "user_profile_url follower_count following_count account_creation_date account_language"
).split()
TWEET_COLUMNS = [
    "tweetid",
    *PROFILE_COLUMNS,
    *(
        "tweet_language tweet_text tweet_time tweet_client_name in_reply_to_userid "
        "in_reply_to_tweetid quoted_tweet_tweetid is_retweet retweet_userid retweet_tweetid "
        "latitude longitude quote_count reply_count like_count retweet_count hashtags urls "
        "user_mentions"
    ).split(),
]

WORDS = {
    "en": "harbour river council price lantern orchard ferry winter market school bridge window "
    "honest morning voice garden paper signal station island copper meadow train weather answer "
    "question engine theatre mountain coffee ticket promise",
    "es": "puerto río consejo precio farol huerto invierno mercado escuela puente ventana honesto "
    "mañana voz jardín papel señal estación isla cobre pradera tren tiempo respuesta pregunta",
    "ru": "гавань река совет цена фонарь сад паром зима рынок школа мост окно утро голос бумага "
    "сигнал станция остров медь луг поезд погода ответ вопрос театр гора кофе билет обещание",
    "th": "ท่าเรือ แม่น้ำ สภา ราคา โคมไฟ สวน เรือ ฤดูหนาว ตลาด โรงเรียน สะพาน หน้าต่าง เช้า เสียง "
    "กระดาษ สัญญาณ สถานี เกาะ ทุ่งหญ้า รถไฟ อากาศ คำตอบ คำถาม ภูเขา กาแฟ ตั๋ว",
    "ar": "ميناء نهر مجلس سعر فانوس بستان شتاء سوق مدرسة جسر نافذة صباح صوت حديقة ورق إشارة محطة "
    "جزيرة نحاس مرج قطار طقس جواب سؤال مسرح جبل قهوة تذكرة وعد",
    "zh": "港口 河流 议会 价格 灯笼 果园 渡船 冬天 市场 学校 桥梁 窗户 早晨 声音 花园 纸张 信号"
    " 车站 岛屿 铜 草地 火车 天气 回答 问题 剧院 山 咖啡 车票 诺言",
}
LANGUAGES = tuple(WORDS)
LANGUAGE_WEIGHTS = (44, 12, 12, 12, 10, 10)
UNSPACED = ("th", "zh")
PHRASE_ENDINGS = (".", "!", "…", "?", " 🙂", " 🚢🌊", " — ok", "\n", ":\n\n", ",", ";", *[""] * 9)

# Cells that a careless reader, spreadsheet or page would run, split or reorder.
HOSTILE_CELLS = (
    "=1+1",
    '=HYPERLINK("http://example.com","open")',
    "@SUM(A1:A9)",
    "-2+3",
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    'say "yes", or "no"',
    "it's; a,b\tc",
    "right \u202eot tfel\u202c",
    "zero\u200bwidth \ufeffmark",
    "bell \x07 and escape \x1b[31m",
    "back\\slash \\n \\",
    "&lt;b&gt; &amp; %00 ${x} {{y}}",
    "null",
)
HOSTILE_SHARE = 1 / 128
PLACES = ("", "", "", "Harbour Town", "North Island", "เกาะใต้", "Речной", "مرفأ", "🌍")
PROFILES = ("", "", "", "Morning coffee, evening trains.", "I like bridges.\nAnd ferries.", "สวัสดี")
ADDRESSES = ("", "", "", "https://www.example.com/about", "https://example.org/me?lang=en")
CLIENTS = ("Twitter Web App", "Twitter for Android", "Twitter for iPhone", "Scheduler")


def compose_phrases(seed: int) -> pl.Series:
    """Every phrase that texts are made of, language by language."""
    rng = open_stream(seed, "phrases")
    return pl.concat([_compose_language(language, rng) for language in LANGUAGES])


def _compose_language(language: str, rng: np.random.Generator) -> pl.Series:
    n_words = 18 if language in UNSPACED else 10
    words = pl.Series(WORDS[language].split())
    drawn = rng.integers(0, len(words), size=(n_words, PHRASES_PER_LANGUAGE))
    lengths = rng.integers(n_words // 2, n_words + 1, size=PHRASES_PER_LANGUAGE)
    endings = rng.integers(0, len(PHRASE_ENDINGS), size=PHRASES_PER_LANGUAGE)
    columns = [
        pl.select(pl.when(pl.Series(lengths > place)).then(words.gather(row))).to_series()
        for place, row in enumerate(drawn)
    ]
    separator = "" if language in UNSPACED else " "
    phrases = pl.select(pl.concat_str(columns, separator=separator, ignore_nulls=True)).to_series()
    return phrases + pl.Series(PHRASE_ENDINGS).gather(endings)


def draw_phrases(languages: Ints, rng: np.random.Generator) -> Ints:
    """Phrases of one text per language, -1 where it is shorter; (n, N_PHRASES)."""
    shape = (len(languages), N_PHRASES)
    phrases = languages[:, None] * PHRASES_PER_LANGUAGE
    phrases = phrases + rng.integers(0, PHRASES_PER_LANGUAGE, size=shape)
    spare = np.arange(N_PHRASES) == N_PHRASES - 1
    return np.where(spare & (rng.random(shape) < 0.25), -1, phrases)
