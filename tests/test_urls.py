"""URL rules against the contract's table, invariances, and a slow reading of each URL alone."""

import csv
import ipaddress
import re
import socket
import unicodedata
from urllib.parse import quote, unquote, urlsplit

import polars as pl
import pytest
import tldextract
from hypothesis import example, given
from hypothesis import strategies as st

from gpu_coord.ground import urls
from gpu_coord.ground.urls import normalise_urls, registered_domains

# --- an independent, slow reading: one URL at a time, urllib.parse and plain conditions ---

LIST = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
DIRECTIONS = {0x61C, 0x200B, 0x200E, 0x200F, 0xFEFF, *range(0x2028, 0x202F), *range(0x2060, 0x2070)}
TRACKING = set(
    """fbclid gclid gclsrc dclid gbraid wbraid gad_source srsltid _ga _gl msclkid yclid ysclid
    _openstat twclid ttclid li_fat_id rdt_cid epik sccid igshid igsh mibextid sfnsn fb_action_ids
    fb_action_types fb_source fb_ref __tn__ __twitter_impression ref_src ref_url mc_cid mc_eid
    mkt_tok _hsenc _hsmi __hstc __hssc __hsfp hsctatracking vero_id vero_conv oly_anon_id oly_enc_id
    s_kwcid _branch_match_id _branch_referrer xtor wt.mc_id wt_mc guccounter guce_referrer
    guce_referrer_sig amp_js_v amp_gsa amp_kit amp_r at_campaign at_medium ns_campaign ns_source
    ns_mchannel ns_linkname ns_fee pk_campaign pk_kwd pk_keyword pk_source pk_medium pk_content
    pk_cid piwik_campaign piwik_kwd piwik_keyword mtm_campaign mtm_source mtm_medium mtm_keyword
    mtm_content mtm_cid mtm_group mtm_placement""".split()
)
PLATFORM_TRACKING = {
    "twitter.com": {"s", "t", "src", "cxt"},
    "x.com": {"s", "t", "src", "cxt"},
    "youtube.com": {"feature", "si", "pp", "ab_channel", "app"},
    "music.youtube.com": {"feature", "si", "pp", "ab_channel", "app"},
    "youtu.be": {"feature", "si", "pp", "ab_channel", "app"},
    "docs.google.com": {"usp"},
    "drive.google.com": {"usp"},
    "facebook.com": set(
        """_rdr _rdc ref refsrc refid ref_component fref pnref hc_ref hc_location eav paipv epa d vh
        sfns wtsid rdid fbt_id lul""".split()
    ),
}
NAMED = (
    "youtube.com youtube-nocookie.com facebook.com instagram.com tiktok.com vimeo.com reddit.com "
    "dailymotion.com twitter.com x.com fb.com github.com gitlab.com medium.com vk.com vk.ru "
    "youtu.be instagr.am t.me telegram.me telegram.dog dai.ly redd.it"
).split()


def read_text(url):
    return "".join(
        c for c in url if unicodedata.category(c) != "Cc" and ord(c) not in DIRECTIONS
    ).strip()


def drop_protocol(text):
    had_one = False
    while match := re.match(r"(?:https?|ftp):|[/\\]{2}", text, re.IGNORECASE | re.ASCII):
        text, had_one = text[match.end() :].lstrip("/\\"), True
    return text, had_one


def read_host(netloc):
    """Host and port of a netloc, or None."""
    host, port = netloc.rsplit("@", 1)[-1], ""
    if match := re.fullmatch(r"(.*):([0-9]*)", host, re.DOTALL):
        host, port = match.groups()
    if int(port or 0) > 65535 or len(port.lstrip("0")) > 5:
        return None
    if host[:1] == "[":
        address, _, behind = host[1:].partition("]")
        try:
            host = f"[{ipaddress.IPv6Address(address.partition('%')[0]).compressed}]"
        except ValueError:
            return None
        if behind:
            return None
    else:
        host = unquote(host)
        if "\ufffd" in host:  # escapes that are no UTF-8
            return None
        if not host.isascii():
            host = unicodedata.normalize("NFKC", host.casefold()).replace("\u3002", ".")
            host = ".".join(
                s if s.isascii() else "xn--" + s.encode("punycode").decode()
                for s in host.split(".")
            )
        labels = host.lower().rstrip(".").split(".")
        if len(labels) < 2 or not all(re.fullmatch("[a-z0-9_-]{1,63}", s) for s in labels):
            return None
        host = ".".join(labels)
        if labels[-1].isdigit():
            try:
                ipaddress.IPv4Address(host)
            except ValueError:
                return None
    port = str(int(port)) if port else ""
    return host, "" if port in ("", "80", "443") else f":{port}"


def escape(part):
    safe = "".join(map(chr, range(0x21, 0x7F)))
    return re.sub("%[0-9a-fA-F]{2}", lambda m: m.group().upper(), quote(part, safe=safe))


def split_slowly(url):
    """Host, port, path and query of a URL as a browser would send them, or None."""
    text, had_protocol = drop_protocol(read_text(url))
    if not had_protocol and re.match(r"[a-z][a-z0-9+.-]*:[/\\]{2}", text, re.IGNORECASE | re.ASCII):
        return None
    end = re.search("[?#]|$", text).start()
    parts = urlsplit("//" + text[:end].replace("\\", "/") + text[end:])
    if "@" in parts.netloc and not had_protocol:
        return None
    host = read_host(parts.netloc)
    if host is None:
        return None
    return *host, escape(parts.path).rstrip("/"), escape(parts.query)


def is_cut_slowly(text):
    return read_text(text).lower().endswith(("…", "...", "%e2%80%a6"))


def find_route_slowly(url):
    """What stands behind # where it names a page, as (name, query), or None."""
    fragment = drop_protocol(read_text(url))[0].partition("#")[2].partition("#")[0]
    name, _, query = (escape(part) for part in fragment.partition("?"))
    name = name.rstrip("/")
    return (name, query) if name[:1] in ("!", "/") and name not in ("", "!") else None


def shorten_slowly(host):
    if host[0] == "[" or host.split(".")[-1].isdigit():
        return host
    labels = host.split(".")
    suffix = LIST(host).suffix or labels[-1]
    n_labels = suffix.count(".") + 2
    return ".".join(labels[-n_labels:])


def spell_paper_slowly(url):
    parts = None if is_cut_slowly(url) else split_slowly(url)
    spelt = parts and shorten_slowly(parts[0]) + parts[1] + parts[2]
    return None if spelt is None or is_cut_slowly(spelt) else spelt


def drop_fronts_slowly(host):
    while True:
        front, _, rest = host.partition(".")
        if "." not in rest or front not in ("www", "m", "mobile", "amp"):
            break
        if front != "www" and LIST(rest).suffix == rest:
            break
        host = rest
    labels = host.split(".")
    wikis = ("wikipedia", "wiktionary", "wikiquote", "wikisource", "wikinews")
    if re.fullmatch("[a-z-]+", labels[0]) and labels[1:] in [["m", wiki, "org"] for wiki in wikis]:
        del labels[1]
    return ".".join(labels)


def drop_amp_slowly(path):
    segments = path.split("/")
    rest = list(segments[1:])
    while len([s for s in rest if s]) > 1:
        first = next(i for i, s in enumerate(rest) if s)
        if rest[first] != "amp":
            break
        rest = rest[first + 1 :]
    if rest != segments[1:]:
        while rest and not rest[0]:
            rest = rest[1:]
    path = "/" + "/".join(rest)
    while True:
        shorter = path[:-4].rstrip("/") if path.endswith("/amp") else path
        if path.endswith(".amp") and path[:-4][-1] != "/":
            shorter = path[:-4]
        if shorter in ("", path) or shorter.endswith("/"):
            break
        path = shorter
    while path.endswith(".amp.html"):
        path = path.removesuffix(".amp.html") + ".html"
    return path


def is_facebook(host):
    front = host.removesuffix("facebook.com")
    return front != host and re.fullmatch(r"(?:[a-z-]+\.)?", front) is not None


def is_tracking_slowly(host, key, value):
    lower = key.lower()
    return (
        lower in TRACKING
        or re.fullmatch(r"utm_[a-z0-9_-]*", lower) is not None
        or re.fullmatch(r"at_custom[0-9]+", lower) is not None
        or re.fullmatch(r"__(xts|cft)__(\[[0-9]*\]|%5b[0-9]*%5d)?", lower) is not None
        or (key == "amp" and value in (None, "", "1", "true"))
        or (lower == "outputtype" and value == "amp")
        or key in PLATFORM_TRACKING.get("facebook.com" if is_facebook(host) else host, ())
    )


def read_parameters(host, query):
    pairs = []
    for piece in re.sub("(^|&)(amp;)+", r"\1", query).split("&"):
        key, equals, value = piece.partition("=")
        value = value if equals else None
        if piece and not is_tracking_slowly(host, key, value):
            pairs.append((key, value))
    return sorted(pairs, key=lambda pair: (pair[0], pair[1] is not None, pair[1] or ""))


# First words of the platforms' own addresses, by the beginning of what an id would be spelt as.
RESERVED = {
    "youtube.com/watch?v=": """about account attribution_link c channel clip e embed feed gaming
        hashtag live live_stream movies oembed playlist playlists post premium redirect results
        shorts t upload user v videoseries watch""",
    "instagram.com/p/": "accounts audio direct explore p reel reels stories tv",
    "t.me/": """addemoji addlist addstickers addtheme boost call confirmphone contact giftcode
        invoice joinchat login proxy setlanguage share socks""",
    "dailymotion.com/video/": """channel embed feed hashtag live player playlist search signin topic
        upload user video videos""",
    "reddit.com/comments/": "comments gallery message r u user",
}
ID_WORD, FACEBOOK_ID = "[A-Za-z0-9_-]+", "[0-9]{9,}|pfbid[0-9A-Za-z]+"


def take(text, shape, ends="&"):
    """The beginning of a text that has the shape of an id, if one of the ends follows, or none."""
    match = re.match(shape, text)
    return match.group() if match and text[match.end() :][:1] in ("", *ends) else None


def first(found):
    return next((some for some in found if some), None)


def pick(pairs, keys, shape, ends="/?"):
    """The first id that a value of the parameters begins with."""
    return first(take(value, shape, ends) for key, value in pairs if key in keys and value)


def cut(steps, *prefixes):
    """What follows each of the prefixes that a path begins with; None is any one name."""
    for prefix in prefixes:
        begun = zip(prefix, steps, strict=False)
        if len(steps) > len(prefix) and all(step and name in (None, step) for name, step in begun):
            yield steps[len(prefix) :]


def find_youtube(host, steps, pairs):
    if host == "youtu.be":
        inside = pick(pairs, ["v"], ID_WORD, "?") if steps == ["watch"] else None
        return "youtube.com/watch?v=", inside or take("/".join(steps), ID_WORD)
    if steps == ["watch"]:
        return "youtube.com/watch?v=", pick(pairs, ["v"], ID_WORD)
    rests = cut(steps, *([word] for word in ("shorts", "embed", "live", "v", "e")))
    return "youtube.com/watch?v=", first(take(rest[0], ID_WORD) for rest in rests)


def find_twitter(host, steps, pairs):
    fronts, words = (["i", "web"], [None], []), ("status", "statuses")
    prefixes = [[*front, word] for front in fronts for word in words]
    return "twitter.com/status/", first(take(rest[0], "[0-9]+") for rest in cut(steps, *prefixes))


def find_facebook(host, steps, pairs):
    for pages, key, spelling in (
        ("story.php permalink.php", "story_fbid", "posts/"),
        ("photo.php photo", "fbid", "photo?fbid="),
        ("watch watch/live video.php", "v", "watch?v="),
    ):
        if "/".join(steps) in pages.split() and (found := pick(pairs, [key], FACEBOOK_ID)):
            return f"facebook.com/{spelling}", found
    fronts = [None, None], [None], []
    rests = cut(steps, *([*front, word] for front in fronts for word in ("posts", "permalink")))
    for rest in rests:
        later = rest[1:2] if rest[0] else []
        if found := first(take(step, FACEBOOK_ID) for step in [*later, rest[0]]):
            return "facebook.com/posts/", found
    for word, spelling in (("photos", "photo?fbid="), ("videos", "watch?v=")):
        for rest in cut(steps, [None, word]):
            named = rest[: rest.index("")] if "" in rest else rest
            if found := first(take(step, FACEBOOK_ID) for step in named):
                return f"facebook.com/{spelling}", found
    reels = cut(steps, ["reel"])
    return "facebook.com/watch?v=", first(take(rest[0], FACEBOOK_ID) for rest in reels)


def find_instagram(host, steps, pairs):
    prefixes = [[*front, word] for front in ([None], []) for word in ("p", "tv", "reel")]
    found = first(take(rest[0], ID_WORD, "") for rest in cut(steps, *prefixes))
    if len(steps) == 2 and steps[0] == "reels":
        found = found or take(steps[1], ID_WORD, "")
    return "instagram.com/p/", found


def find_tiktok(host, steps, pairs):
    named = steps[0].startswith("@") or steps[0] == "share"
    kinds = [["video"], ["photo"], ["v"], ["embed"], ["embed", "v2"], ["player", "v1"]]
    rests = cut(steps[1:] if named else steps, *kinds)
    return "tiktok.com/video/", first(
        take(rest[0].removesuffix(".html"), "[0-9]+", "") for rest in rests
    )


def find_telegram(host, steps, pairs):
    name, *number = steps[1:] if steps[0] == "s" and len(steps) > 1 else steps
    if len(number) == 1 and re.fullmatch("[A-Za-z][A-Za-z0-9_]{3,}", name):
        if re.fullmatch("[0-9]+", number[0]):
            return "t.me/", f"{name}/{number[0]}".lower()
    return None


def find_vimeo(host, steps, pairs):
    prefixes = [], ["video"], ["channels", None], ["groups", None, "videos"]
    return "vimeo.com/", first(take(rest[0], "[0-9]+", "") for rest in cut(steps, *prefixes))


def find_dailymotion(host, steps, pairs):
    prefixes = [[]] if host == "dai.ly" else [["embed", "video"], ["video"]]
    found = first(take(rest[0], "[a-z0-9]+", "_") for rest in cut(steps, *prefixes))
    return "dailymotion.com/video/", found


def find_reddit(host, steps, pairs):
    named = [["r", None, "comments"], ["user", None, "comments"], ["comments"]]
    prefixes = [[]] if host == "redd.it" else named
    rests = [rest for rest in cut(steps, *prefixes) if len(rest) < 3]
    return "reddit.com/comments/", first(take(rest[0], "[a-z0-9]+", "") for rest in rests)


def find_vk(host, steps, pairs):
    shape = "(?:wall|video|photo|clip)-?[0-9]+_[0-9]+"
    # What is opened over a page comes before the page.
    return "vk.com/", pick(pairs, ["w", "z"], shape, "?%") or take("/".join(steps), shape, "&%")


FINDERS = [
    ("youtu.be youtube.com music.youtube.com youtube-nocookie.com", find_youtube),
    ("twitter.com x.com", find_twitter),
    ("facebook.com fb.com", find_facebook),
    ("instagram.com instagr.am", find_instagram),
    ("tiktok.com", find_tiktok),
    ("t.me telegram.me telegram.dog", find_telegram),
    ("vimeo.com player.vimeo.com", find_vimeo),
    ("dailymotion.com dai.ly", find_dailymotion),
    ("reddit.com old.reddit.com redd.it", find_reddit),
    ("vk.com vk.ru", find_vk),
]
FIND_ON = {host: find for hosts, find in FINDERS for host in hosts.split()}


def find_id_slowly(host, path, pairs):
    """The one spelling of content that its platform finds by id, or None."""
    # Facebook's subdomains are its kinds of page and its languages.
    find = FIND_ON.get(re.sub("^(web|mbasic|touch|[a-z]{2}-[a-z]{2})[.](?=facebook|fb)", "", host))
    front, found = (find and find(host, path.split("/")[1:], pairs)) or (None, None)
    # A platform's own words are no ids, whatever the address around them.
    if not found or found.split("/")[0] in RESERVED.get(front, "").split():
        return None
    return front + found


def is_cache_slowly(host):
    if re.fullmatch(r"google\.([a-z]{2,3}\.)?[a-z]{2,3}", host):
        return True
    fronts = [host.removesuffix(end) for end in ("cdn.ampproject.org", "bing-amp.com")]
    return any(re.fullmatch(r"([^.]+\.)?", front) for front in fronts if front != host)


def find_cached_slowly(host, path):
    """The address inside the address of an AMP cache, or None."""
    inside = r"[a-zA-Z0-9-]+\.[a-zA-Z0-9.-]*[a-zA-Z0-9-]|[a-zA-Z0-9-]+"
    match = re.match(rf"/(?:amp|c|v|wp)/(?:s/)?((?:{inside})(?:[/:].*)?)$", path)
    name = re.split("[/:]", match.group(1))[0].split(".") if is_cache_slowly(host) and match else []
    is_name = len(name) > 1 and all(name) and re.match("[a-zA-Z]", name[-1])
    return match.group(1) if is_name else None


def unwrap_slowly(host, port, path, query):
    cached = None if port else find_cached_slowly(host, path)
    inner = cached and split_slowly(cached)
    if not inner or is_cache_slowly(drop_fronts_slowly(inner[0]) + inner[1]):
        return host, port, path, query
    return drop_fronts_slowly(inner[0]), inner[1], inner[2], query


# Host, path, and the parameters that may hold where a redirect leads.
REDIRECTS = [
    ("facebook.com", "/l.php", "u"),
    ("l.facebook.com", "/l.php", "u"),
    ("lm.facebook.com", "/l.php", "u"),
    ("l.instagram.com", "", "u"),
    ("youtube.com", "/redirect", "q"),
    ("t.umblr.com", "/redirect", "z"),
    ("vk.com", "/away.php", "to"),
    ("vk.ru", "/away.php", "to"),
]


def list_leads_slowly(host, path):
    """The parameters in which the page a redirect leads to may stand."""
    if re.fullmatch(r"google\.([a-z]{2,3}\.)?[a-z]{2,3}", host) and path == "/url":
        return ["q", "url"]
    if host == "out.reddit.com":
        return ["url"]
    return [key for place, page, key in REDIRECTS if (host, path) == (place, page)]


def find_target_slowly(host, port, path, query):
    leads = [] if port else list_leads_slowly(host, path)
    for key, value in read_parameters(host, query) if leads else []:
        plain = re.sub("%([0-7][0-9A-F])", lambda m: chr(int(m[1], 16)), value or "")
        if key in leads and re.match("https?://.", plain, re.I | re.S) and value[:4] == plain[:4]:
            return plain
    return None


def find_page_slowly(url, n_redirects=0):
    """Host, port, path, query and route of the page that a URL leads to, or None."""
    parts = None if is_cut_slowly(url) else split_slowly(url)
    if parts is None:
        return None
    host, port, path, query = unwrap_slowly(drop_fronts_slowly(parts[0]), *parts[1:])
    route = find_route_slowly(url)
    routed = is_facebook(host) or host in ("twitter.com", "youtube.com")
    if route and routed and not port and route[0].removeprefix("!")[:1] == "/":
        (path, query), route = (route[0].removeprefix("!"), join_pairs("", route[1])), None
    target = find_target_slowly(host, port, path, query) if n_redirects < 4 else None
    if target:
        return find_page_slowly(target, n_redirects + 1)
    return host, port, path, query, route


def join_pairs(host, query):
    pairs = read_parameters(host, query)
    return "&".join(key if value is None else f"{key}={value}" for key, value in pairs)


def spell_canonical_slowly(url):
    page = find_page_slowly(url)
    if page is None:
        return None
    host, port, path, query, route = page
    named = not port and any(host == name or host.endswith("." + name) for name in NAMED)
    if path and not named:
        unmarked = drop_amp_slowly(path)
        # It stays as it is where it would seem a cached page or a redirect the next time.
        mistaken = find_cached_slowly(host, unmarked) or list_leads_slowly(host, unmarked)
        path = path if not port and mistaken else unmarked
    host_of_names = host if not port else ""
    pairs = read_parameters(host_of_names, query)
    found = find_id_slowly(host, path, pairs) if not port and path else None
    if found:
        return found
    spelt = host + port + path
    if pieces := join_pairs(host_of_names, query):
        spelt += f"?{pieces}"
    if route:
        spelt += f"#{route[0]}"
        if pieces := join_pairs("", route[1]):
            spelt += f"?{pieces}"
    return None if is_cut_slowly(spelt) else spelt


SLOWLY = {"canonical": spell_canonical_slowly, "paper": spell_paper_slowly}
RULES = ("canonical", "paper")


def spell(*urls, rule="canonical"):
    return normalise_urls(pl.Series("url", urls, dtype=pl.String), rule=rule).to_list()


# --- URLs made from the parts that the rules look at ---

HOSTS = (
    "example.com news.example.co.uk a.b.example.org gov.uk co.uk de.com mobile.de x.com "
    "twitter.com web.facebook.com youtube.com youtu.be facebook.com instagram.com github.com "
    "docs.google.com google.com google.co.th music.youtube.com fb.com instagr.am tiktok.com t.me "
    "telegram.me vimeo.com player.vimeo.com dai.ly dailymotion.com redd.it old.reddit.com vk.com "
    "en.m.wikipedia.org cdn.ampproject.org a-b.cdn.ampproject.org 1.2.3.4 [::1] [2001:DB8:0::1] "
    "foo.bar.zzz xn--bcher-kva.example bücher.example Ex_ample.COM ไทย.ไทย localhost 12.30 a..b"
).split()
STEPS = [
    *"""a A amp amp s c status i web Name 1 1234567890 watch shorts embed videoseries p reel posts
    photos videos permalink story.php photo.php video.php x.amp x.amp.html .amp google.com
    www.example.com m.google.com %e0%B8 %E0%b8 ไทย b;c @u playlist posts.amp ID live v statuses
    reels audio Chan joinchat 12 12.html x7a_b comments r wall-1_2 wall-1_2%2Fb pfbid0aB""".split(),
    "",
    "a b",
    "www.example.com:8080",
]
PARAMETERS = [
    *"""a=1 a=2 a= a a-b=1 b=x;c=2 utm_source=x UTM_Medium=y fbclid=I gclid amp=1 amp amp=25 id=9
    p=1 v=ID v=1234567890 v=a%20b s=20 t=4 ref=h feature=share si=x story_fbid=1234567890 fbid=123
    fbid=1234567890 story_fbid=12 amp;b=2 usp=x b=%c3%a9 q=é q=a/b?c a==b outputType=amp xtor=CS1
    __xts__[0]=1 v=shorts v=ID/x story_fbid=pfbid0aB w=wall-1_2 z=photo1_2%2Fb
    u=https%3A%2F%2Fwww.example.com%2Fa%2F%3Fb%3D1%26utm_source%3Dx%23%21%2Fc q=http://youtu.be/ID
    url=http%3a%2f%2fl.facebook.com%2Fl.php%3Fu%3DHTTP%253A%252F%252Fm.a.com%252F%25C3%25A9
    to=https%3A%2F%2Fa.com%2Fb%E2%80%A6 z=https%3A%2F%2Fa.com/%E0%B8+%2541 u=http%3A%2F%2Fb q=b
    u=https%253A%252F%252Fa.com url=https://google.com/amp/s/a.com/amp""".split(),
    "",
    "q=a b",
]
# Shapes that chance would seldom put together.
PAGES = """youtu.be/ID m.youtube.com/watch youtube.com/shorts/ID youtube.com/embed/videoseries
    twitter.com/Name/status/1 x.com/i/web/status/1/photo/1 twitter.com/status/1 x.com/Name
    facebook.com/story.php web.facebook.com/permalink.php m.facebook.com/photo.php fb.com/watch
    facebook.com/a/posts/1234567890 facebook.com/groups/a/permalink/1234567890 fb.com/a/posts/1
    th-th.facebook.com/a/photos/a.1.2/1234567890 facebook.com/a/videos/1234567890 facebook.com/a
    instagram.com/p/ID instagram.com/reel/ID/ www.google.com/amp/s/www.example.com/a/amp
    google.co.th/amp/m.google.com/amp/s/a.com a-b.cdn.ampproject.org/c/s/m.example.com:80/a.amp
    cdn.ampproject.org/v/youtu.be/ID amp.example.com/amp/a en.m.wikipedia.org/wiki/A
    youtu.be/watch youtube.com/v/ID&a instagram.com/reels/ID m.tiktok.com/v/12.html
    tiktok.com/@u/video/12 tiktok.com/player/v1/12 t.me/s/Chan/12 vimeo.com/groups/a/videos/12
    dai.ly/x7a dailymotion.com/embed/video/x7a_b redd.it/abc reddit.com/r/a/comments/abc/b
    vk.com/a vk.com/wall-1_2 l.facebook.com/l.php facebook.com/l.php/ l.instagram.com google.com/url
    google.co.th/url youtube.com/redirect out.reddit.com/t3_a t.umblr.com/redirect vk.com/away.php
    google.com/amp/url google.com/amp/s/vk.com/away.php twitter.com/ m.facebook.com/home.php
    youtube.com/""".split()
# Addresses that end in an id, in whose place a platform's own word may stand.
ID_PLACES = {
    "youtube.com/watch?v=": "youtu.be/ youtube.com/embed/ music.youtube.com/live/",
    "instagram.com/p/": "instagram.com/reels/ instagram.com/p/ instagr.am/a/reel/",
    "t.me/": "t.me/ telegram.me/s/",
    "dailymotion.com/video/": "dai.ly/ dailymotion.com/video/ dailymotion.com/embed/video/",
    "reddit.com/comments/": "redd.it/ reddit.com/comments/ old.reddit.com/r/a/comments/",
}
PROTOCOLS = ["http://", "https://", "HTTPS://", "//", "", "ftp://", "http:\\\\", "http://http://"]
FRONTS = ["", "www.", "WWW.", "m.", "mobile.", "amp.", "www.m.", "www2.", "user:pw@"]
PORTS = ["", "", "", ":80", ":443", ":8080", ":", ":0080", ":99999", "."]
INVISIBLE = ["", "", "", " ", "\n", "\u200b", "\u202e", "\x00", "\ufeff", "\u3000"]


@st.composite
def made_addresses(draw):
    """A URL without protocol and fragment: (host, path, parameters)."""
    parameters = draw(st.lists(st.sampled_from(PARAMETERS), max_size=5))
    kind = draw(st.sampled_from(["any", "page", "word"]))
    if kind == "page":
        host, slash, path = draw(st.sampled_from(PAGES)).partition("/")
        return host, slash + path, parameters
    if kind == "word":
        front, places = draw(st.sampled_from(sorted(ID_PLACES.items())))
        word = draw(st.sampled_from(RESERVED[front].split()))
        host, slash, path = draw(st.sampled_from(places.split())).partition("/")
        end = draw(st.sampled_from(["", "/", "/12", "/x", "s", "&a=1"]))
        return host, slash + path + word + end, parameters
    host = draw(st.sampled_from(FRONTS)) + draw(st.sampled_from(HOSTS))
    steps = draw(st.lists(st.sampled_from(STEPS), max_size=5))
    return host + draw(st.sampled_from(PORTS)), "".join(f"/{s}" for s in steps), parameters


def join_address(host, path, parameters):
    return host + path + ("?" + "&".join(parameters) if parameters else "")


@st.composite
def made_urls(draw):
    protocol, edge = draw(st.sampled_from(PROTOCOLS)), draw(st.sampled_from(INVISIBLE))
    address = join_address(*draw(made_addresses()))
    cut = draw(st.integers(0, len(address)))
    inside = edge.strip(" \u3000")
    fragment, end = draw(st.sampled_from(FRAGMENTS)), draw(st.sampled_from(ENDS))
    return edge + protocol + address[:cut] + inside + address[cut:] + fragment + end + edge


FRAGMENTS = ["", "", "#", "#top", "#a?b=1&utm_source=x", "#a/b", "#!", "#/", "#!/", "#!a/b//"]
FRAGMENTS += ["#!/é/?utm_source=x&b=1&a=2", "#/a/status/1?v=ID", "#/a#!/b", "#!/watch?v=ID&s=2"]
FRAGMENTS += ["#!/l.php?u=http://a.com", "#/redirect?q=http://a.com"]
ENDS = ["", "", "", "", "…", "...", "%e2%80%A6", "/…/"]
ROUGH = [
    *"/?&=#:@\\[]%.;+-_aAs1 é\t\u200dßKſ．",
    *"""amp www. m. http: // example.com google.com /amp/s/ &amp; utm_source= %4 ./ ../ youtube.com/
    watch?v= t.me/ Chan/5 x.com/ status/ 11 cdn.amp cdn.ampproject.org/c/ facebook.com/ posts/
    123456789 story_fbid= mailto: #! #/ ... … vk.com/away.php?to= http%3A%2F%2F""".split(),
]
rough_texts = st.lists(st.sampled_from(ROUGH), max_size=12).map("".join)
rules = st.sampled_from(RULES)


# --- what is one address ---

YOUTUBE, TWEET = "youtube.com/watch?v=ID", "twitter.com/status/1"


@pytest.mark.parametrize(
    ("url", "canonical", "paper"),
    [
        # The contract's table, every cell.
        (
            "https://www.Example.com/a/?utm_source=x&b=2&a=1#top",
            "example.com/a?a=1&b=2",
            "example.com/a",
        ),
        ("http://news.example.co.uk/a/", "news.example.co.uk/a", "example.co.uk/a"),
        ("https://youtu.be/ID?t=4", YOUTUBE, "youtu.be/ID"),
        ("https://www.youtube.com/watch?v=ID&feature=share", YOUTUBE, "youtube.com/watch"),
        ("https://youtube.com/shorts/ID", YOUTUBE, "youtube.com/shorts/ID"),
        ("https://mobile.twitter.com/Name/status/1?s=20", TWEET, "twitter.com/Name/status/1"),
        ("https://x.com/name/status/1", TWEET, "x.com/name/status/1"),
        ("https://t.co/AbC", "t.co/AbC", "t.co/AbC"),
        # More of the kind.
        ("example.com/a", "example.com/a", "example.com/a"),
        ("//example.com/a", "example.com/a", "example.com/a"),
        ("HTTP://EXAMPLE.COM", "example.com", "example.com"),
        ("http://http://example.com/a", "example.com/a", "example.com/a"),
        ("https:\\\\example.com\\a\\B", "example.com/a/B", "example.com/a/B"),
        ("ftp://example.com/a", "example.com/a", "example.com/a"),
        ("  https://example.com/a\u200b\n", "example.com/a", "example.com/a"),
        ("https://exam\nple.com/\u202ea\tb", "example.com/ab", "example.com/ab"),
        ("https://example.com/a b", "example.com/a%20b", "example.com/a%20b"),
        ("http://user:pw@example.com/", "example.com", "example.com"),
        ("http://example.com:80/a", "example.com/a", "example.com/a"),
        ("https://example.com:443/a", "example.com/a", "example.com/a"),
        ("http://a.example.com:08080/a", "a.example.com:8080/a", "example.com:8080/a"),
        ("http://example.com./a", "example.com/a", "example.com/a"),
        ("http://www.m.example.com/a", "example.com/a", "example.com/a"),
        ("http://mobile.de/a", "mobile.de/a", "mobile.de/a"),
        ("http://m.co.uk/a", "m.co.uk/a", "m.co.uk/a"),
        ("http://m.co.uk:8080/a", "m.co.uk:8080/a", "m.co.uk:8080/a"),
        ("http://en.m.wikipedia.org:8/a", "en.wikipedia.org:8/a", "wikipedia.org:8/a"),
        ("http://www.gov.uk/a", "gov.uk/a", "www.gov.uk/a"),
        ("http://www.com/a", "www.com/a", "www.com/a"),
        ("http://a.blogspot.com/b", "a.blogspot.com/b", "blogspot.com/b"),
        ("http://a.b.unlisted/c", "a.b.unlisted/c", "b.unlisted/c"),
        ("http://192.0.2.1/a", "192.0.2.1/a", "192.0.2.1/a"),
        ("http://[2001:DB8:0:0::1]:443/a", "[2001:db8::1]/a", "[2001:db8::1]/a"),
        ("http://[2001:db8::1]:8/a", "[2001:db8::1]:8/a", "[2001:db8::1]:8/a"),
        ("http://BÜCHER.example/a", "xn--bcher-kva.example/a", "xn--bcher-kva.example/a"),
        ("http://xn--bcher-kva.example/a", "xn--bcher-kva.example/a", "xn--bcher-kva.example/a"),
        ("http://ｅxample。com/a", "example.com/a", "example.com/a"),
        ("http://ex%61mple.com/a", "example.com/a", "example.com/a"),
        ("http://example.com/%e0%B8%82", "example.com/%E0%B8%82", "example.com/%E0%B8%82"),
        ("http://example.com/ข", "example.com/%E0%B8%82", "example.com/%E0%B8%82"),
        ("http://example.com/a//b/../c//", "example.com/a//b/../c", "example.com/a//b/../c"),
        ("http://example.com?b&a", "example.com?a&b", "example.com"),
        ("http://example.com/?#", "example.com", "example.com"),
        ("http://example.com/#!/a", "example.com#!/a", "example.com"),
        ("https://en.m.wikipedia.org/wiki/A", "en.wikipedia.org/wiki/A", "wikipedia.org/wiki/A"),
    ],
)
def test_normalise_urls__one_address(url, canonical, paper):
    assert spell(url) == [canonical]
    assert spell(url, rule="paper") == [paper]


NO_ADDRESSES = [
    *"""absent localhost/a http:// http:/// /a/b ?a=1 #top mailto:someone@example.com
    someone@example.com javascript:alert(1) javascript://example.com/%0aalert(1)
    data:text/html,example.com tel:5551234 com.example.app://open file:///etc/passwd 12.30 1.2.3.400
    http://a..b/ http://example.com:99999/ http://example.com:8a/ http://[::g]/ http://[::1/
    http://exa<mple.com/ http://a%2Fb.com/ http://a℀b.com/ http://\ufffd.com/""".split(),
    *(None, "", "  ", "two words.com", "http://two words.com/", "http://example.com:" + "9" * 5000),
    *(f"http://{host}/" for host in ("a" * 64 + ".com", "ü" * 300 + ".com", "a." * 130 + "com")),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_normalise_urls__no_web_host_is_null(text, rule):
    assert spell(text, rule=rule) == [None]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("b=2&a=1&b=1&a=1", "?a=1&a=1&b=1&b=2"),
        ("a-b=1&a=2&a", "?a&a=2&a-b=1"),
        ("a=&b", "?a=&b"),
        ("a=1;b=2", "?a=1;b=2"),
        ("b=1&amp;a=2&amp;amp;c=3", "?a=2&b=1&c=3"),
        ("&&a=1&", "?a=1"),
        ("a=b=c&a=b", "?a=b&a=b=c"),
        ("q=a/b?c", "?q=a/b?c"),
        ("UTM_Campaign=x&fbclid=y&gclid&mc_eid=1&__xts__[0]=z&at_custom2=t", ""),
        ("ref=home&id=1&p=2&v=3&s=4&t=5&source=x&cid=6", "?cid=6&id=1&p=2&ref=home&s=4&source=x"),
        ("utm_source%3Dx=1&utm_a.b=2", "?utm_a.b=2&utm_source%3Dx=1"),
        ("utmost=1&gclidx=2&fbclids", "?fbclids&gclidx=2&utmost=1"),
        ("amp=1", ""),
        ("amp", ""),
        ("amp=25&ampere=1", "?amp=25&ampere=1"),
        ("outputType=amp&outputType=pdf", "?outputType=pdf"),
    ],
)
def test_normalise_urls__parameters(query, kept):
    if "cid=6" in kept:
        kept += "&t=5&v=3"
    assert spell(f"https://example.com/a?{query}") == [f"example.com/a{kept}"]
    assert spell(f"https://example.com/a/?{query}#f", rule="paper") == ["example.com/a"]


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://amp.example.com/a", "example.com/a"),
        ("https://example.com/a/amp", "example.com/a"),
        ("https://example.com/a/amp/?amp=1", "example.com/a"),
        ("https://example.com/amp/a", "example.com/a"),
        ("https://example.com/a.amp", "example.com/a"),
        ("https://example.com/a.amp.html", "example.com/a.html"),
        ("https://www.google.com/amp/s/www.example.com/a/amp/?b=1", "example.com/a?b=1"),
        ("https://google.co.th/amp/example.com/a", "example.com/a"),
        ("https://www-example-com.cdn.ampproject.org/c/s/www.example.com/a", "example.com/a"),
        ("https://cdn.ampproject.org/v/s/example.com:8080/a", "example.com:8080/a"),
        ("https://www.google.com/amp/s/youtu.be/ID", "youtube.com/watch?v=ID"),
        # No marks: a whole path, a word that only begins so, names that people chose.
        ("https://example.com/amp", "example.com/amp"),
        ("https://example.com/amplifier/a", "example.com/amplifier/a"),
        ("https://example.com/guitar-amp", "example.com/guitar-amp"),
        ("https://example.com/a/AMP", "example.com/a/AMP"),
        ("https://github.com/user/amp", "github.com/user/amp"),
        ("https://t.me/amp/a", "t.me/amp/a"),
        ("https://google.com/amp/s/google.com/amp/s/a.com", "google.com/s/google.com/amp/s/a.com"),
        ("https://google.com/amp/c/a.com/amp", "google.com/amp/c/a.com/amp"),
    ],
)
def test_normalise_urls__amp_marks(url, page):
    assert spell(url) == [page]


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://shop.example/#!/item/1", "shop.example#!/item/1"),
        ("https://shop.example/#!/item/1/", "shop.example#!/item/1"),
        ("https://shop.example/a/?c=1#/item/2", "shop.example/a?c=1#/item/2"),
        ("https://groups.google.com/forum/#!topic/g/aaaa", "groups.google.com/forum#!topic/g/aaaa"),
        ("a.example/#/b?utm_source=x&d=1&c=2", "a.example#/b?c=2&d=1"),
        ("a.example/#/é", "a.example#/%C3%A9"),
        ("a.example/#!/b#top", "a.example#!/b"),
        # No routes: places on a page, and routes to the front page.
        ("a.example/b#top", "a.example/b"),
        ("a.example/b#b/c", "a.example/b"),
        *((f"a.example/{home}", "a.example") for home in ("#", "#!", "#/", "#!/", "#//")),
        # Where they were the address itself.
        ("https://twitter.com/#!/ann/status/123456789", "twitter.com/status/123456789"),
        ("https://twitter.com/#!/ann", "twitter.com/ann"),
        ("https://m.youtube.com/#/watch?v=ID&app=m", "youtube.com/watch?v=ID"),
        (
            "https://www.facebook.com/home.php#!/photo.php?fbid=123456789",
            "facebook.com/photo?fbid=123456789",
        ),
        ("https://vk.com/app1#!/b", "vk.com/app1#!/b"),
        # An id is enough.
        ("https://youtu.be/ID#!/b", "youtube.com/watch?v=ID"),
        ("https://youtu.be/shorts#!/b", "youtu.be/shorts#!/b"),
    ],
)
def test_normalise_urls__keeps_routes_behind_the_number_sign(url, canonical):
    assert spell(url) == [canonical]


@pytest.mark.parametrize(
    "redirect",
    [
        "https://l.facebook.com/l.php?u={}&h=AT1",
        "https://l.facebook.com/l.php?h=AT2&amp;u={}",
        "http://lm.facebook.com/l.php?u={}&h=AT1",
        "https://www.facebook.com/l.php?u={}",
        "https://l.instagram.com/?u={}&e=AT",
        "https://www.google.com/url?sa=t&source=web&q={}&usg=x",
        "https://www.google.co.uk/url?sa=i&url={}&psig=x",
        "https://google.com/url?q=words&url={}",
        "https://www.youtube.com/redirect?event=d&q={}&redir_token=x",
        "https://out.reddit.com/t3_abc?url={}&token=x",
        "https://t.umblr.com/redirect?z={}&t=x",
        "https://vk.com/away.php?to={}&post=1_2",
        "https://m.vk.com/away.php?to={}",
    ],
)
def test_normalise_urls__puts_the_page_in_place_of_a_redirect(redirect):
    page = "https://www.news.example/a%C3%A9/?b=1&utm_source=x#top"
    inner = redirect.format(quote(page, safe=""))
    twice = redirect.format(quote(inner, safe=""))
    thrice = redirect.format(quote(twice, safe=""))
    assert spell(inner, twice, thrice) == ["news.example/a%C3%A9?b=1"] * 3
    assert spell(redirect.format("https://news.example/a")) == ["news.example/a"]
    assert spell(redirect.format(quote("https://t.co/a…", safe=""))) == [None]


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("google.com/url?q=words", "google.com/url?q=words"),
        ("google.com/search?q=https://a.com", "google.com/search?q=https://a.com"),
        ("facebook.com/l.php?u=ftp%3A%2F%2Fa.com", "facebook.com/l.php?u=ftp%3A%2F%2Fa.com"),
        ("example.com/l.php?u=https://a.com", "example.com/l.php?u=https://a.com"),
        # Decoded once, it is not yet a URL.
        (
            "vk.com/away.php?to=http%253A%252F%252Fa.com",
            "vk.com/away.php?to=http%253A%252F%252Fa.com",
        ),
        (
            "login.example/login/?next=https%3A%2F%2Fa.com",
            "login.example/login?next=https%3A%2F%2Fa.com",
        ),
    ],
)
def test_normalise_urls__follows_nothing_but_redirects_to_urls(url, canonical):
    assert spell(f"https://{url}") == [canonical]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("end", ["…", "...", "%E2%80%A6", "%e2%80%a6", "… ", "…\u200b"])
@pytest.mark.parametrize(
    "url", ["https://t.co/{}", "https://t.co{}", "a.com/b?c=1{}", "a.com/#!/b{}"]
)
def test_normalise_urls__a_link_that_was_cut_off_is_null(url, end, rule):
    whole, cut = spell(url.format("x"), url.format(end), rule=rule)
    assert whole is not None
    assert cut is None


@pytest.mark.parametrize(
    ("url", "is_cut"),
    [
        ("a.com/…", True),
        ("a.com/b...\n", True),
        ("a.com/b..", False),
        ("a.com/…b", False),
        (None, None),
    ],
)
def test_find_cut_off__looks_at_the_end(url, is_cut):
    assert urls.find_cut_off(pl.Series([url], dtype=pl.String)).to_list() == [is_cut]


LONG = "1234567890"


@pytest.mark.parametrize(
    ("spelling", "urls"),
    [
        (
            "youtube.com/watch?v=aB-_1",
            """youtu.be/aB-_1 youtu.be/aB-_1?si=x youtu.be/aB-_1&feature=x
            m.youtube.com/watch?app=desktop&v=aB-_1&t=3 music.youtube.com/watch?v=aB-_1&list=L
            youtube.com/embed/aB-_1?start=3 youtube.com/live/aB-_1/ youtube.com/v/aB-_1&hl=en
            www.youtube-nocookie.com/embed/aB-_1 youtu.be/watch?v=aB-_1""",
        ),
        (
            "twitter.com/status/1",
            """twitter.com/Name/status/1 twitter.com/i/web/status/1 x.com/i/status/1?t=a&s=19
            twitter.com/Name/statuses/1/ mobile.twitter.com/a/status/1/photo/1 x.com/a/status/1#m
            twitter.com/aGVsbG8=/status/1?ref_src=twsrc%5Etfw""",
        ),
        (
            f"facebook.com/posts/{LONG}",
            f"""m.facebook.com/story.php?story_fbid={LONG}&id=7 facebook.com/name/posts/{LONG}?d=n
            facebook.com/permalink.php?id=7&story_fbid={LONG} facebook.com/groups/g/posts/{LONG}/
            web.facebook.com/groups/g/permalink/{LONG}/?_rdc=1 facebook.com/n/posts/a-slug/{LONG}
            th-th.facebook.com/n/posts/{LONG}""",
        ),
        (
            f"facebook.com/photo?fbid={LONG}",
            f"""facebook.com/photo.php?fbid={LONG}&set=a.1&type=3 facebook.com/photo/?fbid={LONG}
            facebook.com/name/photos/a.1.2.3/{LONG}/?type=3&theater facebook.com/n/photos/{LONG}""",
        ),
        (
            f"facebook.com/watch?v={LONG}",
            f"""facebook.com/watch/?v={LONG}&ref=x facebook.com/watch/live/?v={LONG}
            facebook.com/video.php?v={LONG} facebook.com/n/videos/{LONG}/?vh=e
            facebook.com/n/videos/vb.1/{LONG} facebook.com/reel/{LONG}""",
        ),
        (
            "instagram.com/p/Ab_-1",
            """instagram.com/p/Ab_-1/?igshid=x instagram.com/reel/Ab_-1 instagram.com/tv/Ab_-1
            instagram.com/name/p/Ab_-1/ instagram.com/reels/Ab_-1/ instagr.am/p/Ab_-1
            instagram.com/p/Ab_-1/embed/captioned""",
        ),
        (
            "tiktok.com/video/12",
            """tiktok.com/@name/video/12?lang=en m.tiktok.com/v/12.html tiktok.com/embed/v2/12
            tiktok.com/@/video/12 tiktok.com/share/video/12 tiktok.com/@name/photo/12""",
        ),
        (
            "t.me/channel/5",
            "t.me/channel/5 t.me/s/Channel/5 telegram.me/CHANNEL/5?single t.me/channel/5?embed=1",
        ),
        (
            "vimeo.com/12",
            """vimeo.com/12 player.vimeo.com/video/12?h=a vimeo.com/channels/x/12
            vimeo.com/groups/x/videos/12 vimeo.com/12/abc""",
        ),
        (
            "dailymotion.com/video/x7a",
            "dailymotion.com/video/x7a_some-title dai.ly/x7a dailymotion.com/embed/video/x7a?a=1",
        ),
        (
            "reddit.com/comments/abc",
            """reddit.com/r/x/comments/abc/a_title/?utm_source=share old.reddit.com/r/x/comments/abc
            redd.it/abc reddit.com/comments/abc""",
        ),
        (
            "vk.com/wall-1_2",
            "m.vk.com/wall-1_2 vk.com/a?w=wall-1_2 vk.com/feed?a=1&w=wall-1_2%2Fall vk.ru/wall-1_2",
        ),
    ],
)
def test_normalise_urls__platforms_find_by_id(spelling, urls):
    urls = urls.split()
    assert spell(spelling, *(f"https://{url}" for url in urls)) == [spelling] * (len(urls) + 1)


UNCHANGED = """youtube.com/embed/videoseries?list=L youtube.com/embed/live_stream?channel=C
    youtube.com/@name twitter.com:8080/a/status/1 nottwitter.com/a/status/1 youtu.be/playlist?list=L
    facebook.com/name/posts/12 instagram.com/reels/audio/12 instagram.com/name t.me/Channel
    t.me/joinchat/AbC t.me/c/12/5 t.me/ID/5 reddit.com/r/x/comments/abc/title/def
    vimeo.com/name""".split()
# The platforms' own words, where ids would stand.
UNCHANGED += """youtu.be/shorts youtu.be/watch&v=ID youtu.be/feed?a=1 youtube.com/shorts/live
    youtube.com/embed/playlist?list=L t.me/JoinChat/12?a=1 telegram.me/login/12345 dai.ly/video/x7a
    dai.ly/playlist/x7a redd.it/r/name redd.it/comments/abc redd.it/user t.me/loginn/12""".split()


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        *zip(UNCHANGED, UNCHANGED, strict=True),
        ("youtube.com/playlist?list=L&si=x", "youtube.com/playlist?list=L"),
        ("twitter.com/Name?s=20", "twitter.com/Name"),
        ("facebook.com/name?ref=x", "facebook.com/name"),
        ("youtu.be/watch?list=L&si=x", "youtu.be/watch?list=L"),
        ("m.youtube.com/watch?v=shorts&t=4", "youtube.com/watch?t=4&v=shorts"),
        ("instagram.com/reels/audio/", "instagram.com/reels/audio"),
        # Words that only begin like them are ids.
        ("youtu.be/shortsA", "youtube.com/watch?v=shortsA"),
        ("youtu.be/Shorts", "youtube.com/watch?v=Shorts"),
        ("dai.ly/videos1", "dailymotion.com/video/videos1"),
        ("redd.it/user1", "reddit.com/comments/user1"),
        # The first id of sorted parameters.
        ("youtube.com/watch?v=B&v=A", "youtube.com/watch?v=A"),
        ("youtube.com/watch?a=1&v=B&v=A", "youtube.com/watch?v=A"),
        ("youtube.com/watch?v=%20&v=B", "youtube.com/watch?v=B"),
        ("vk.com/a?w=wall-3_4&w=wall-1_2&z=photo1_2", "vk.com/wall-1_2"),
    ],
)
def test_normalise_urls__finds_no_id_where_there_is_none_and_the_first_of_several(url, canonical):
    assert spell(f"https://{url}") == [canonical]


def test_normalise_urls__keeps_order_length_name_and_duplicates():
    urls = pl.Series("link", ["http://b.com/", None, "https://a.com", "b.com", "nothing"])
    expected = pl.Series("link", ["b.com", None, "a.com", "b.com", None])
    assert normalise_urls(urls).equals(expected, check_names=True, check_dtypes=True)


@pytest.mark.parametrize("dtype", [pl.String, pl.Null])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n_rows", [0, 2])
def test_normalise_urls__without_any_url(dtype, rule, n_rows):
    urls = pl.Series([None] * n_rows, dtype=dtype)
    spelt = normalise_urls(urls, rule=rule)
    assert spelt.dtype == pl.String
    assert spelt.to_list() == [None] * n_rows


def test_normalise_urls__long_urls():
    path = "/a" * 200_000
    query = "&".join(f"k{i % 7}={i}" for i in range(20_000))
    [spelt] = spell(f"https://example.com{path}/?{query}&utm_source=x")
    pairs = sorted(query.split("&"), key=lambda pair: pair.split("="))
    assert spelt == f"example.com{path}?" + "&".join(pairs)


def test_urls__refuse_unknown_rules_and_other_types():
    with pytest.raises(ValueError, match="'strict'; it must be one of canonical, paper"):
        normalise_urls(pl.Series(["a.com"]), rule="strict")
    for function in (normalise_urls, registered_domains):
        with pytest.raises(TypeError, match="'link' holds Int64; URLs are strings"):
            function(pl.Series("link", [1]))


# --- invariances ---


@given(st.lists(made_urls() | rough_texts | st.text(max_size=30), max_size=20), rules)
@example(["http://m.google.com/amp/s/m.google.com:443/amp/s/a.com/amp/amp"], "canonical")
@example(["http://www.en.m.wikipedia.org"], "canonical")
@example(["http://m.youtube.com/watch#/a#!/b"], "canonical")
@example(["http://google.com/amp/c/a.com", "http://a.cdn.ampproject.org/amp/v/a.b/c"], "canonical")
@example(["http://a.com/amp/amp.amp/.amp.html/amp", "a.com/?amp;amp;amp", "a.b/%%aB"], "canonical")
def test_normalise_urls__applied_twice_changes_nothing(urls, rule):
    once = spell(*urls, rule=rule)
    assert spell(*once, rule=rule) == once


@given(st.lists(made_addresses(), min_size=1, max_size=10), rules)
def test_normalise_urls__protocol_does_not_matter(addresses, rule):
    # Without one, "a@b.com" is a mail address and "b.com://a" some other protocol.
    bare = [join_address(*a) for a in addresses if "@" not in a[0] and a[0][-1] != ":"]
    spelt = spell(*bare, rule=rule)
    for protocol in ("http://", "https://", "HTTPS://", "//", "ftp://"):
        assert spell(*(protocol + address for address in bare), rule=rule) == spelt


@given(made_addresses(), st.data())
def test_normalise_urls__tracking_parameters_do_not_matter(address, data):
    host, path, parameters = address
    tracked = list(parameters)
    for name in data.draw(st.lists(st.sampled_from(sorted(TRACKING)), min_size=1, max_size=4)):
        tracked.insert(data.draw(st.integers(0, len(tracked))), f"{name}=x")
    plain, dressed = (join_address(host, path, some) for some in (parameters, tracked))
    assert spell("//" + dressed) == spell("//" + plain)


@given(made_addresses(), st.randoms(use_true_random=False))
def test_normalise_urls__order_of_parameters_does_not_matter(address, random):
    host, path, parameters = address
    shuffled = random.sample(parameters, len(parameters))
    urls = ["//" + join_address(host, path, some) for some in (parameters, shuffled)]
    assert len(set(spell(*urls))) == 1


@given(st.lists(made_urls(), max_size=20), rules)
def test_normalise_urls__each_row_alone(urls, rule):
    assert spell(*urls, rule=rule) == [spell(url, rule=rule)[0] for url in urls]


@given(st.lists(made_urls(), max_size=20), rules)
@example(["http://youtu.be/shorts", "http://youtu.be/embed?b=1"], "canonical")
@example(["http://youtu.be/watch?v=ID", "http://dai.ly/video/x7a"], "canonical")
@example(["http://youtube.com/watch?v=ID&v=a%20b&v=other"], "canonical")
def test_normalise_urls__agrees_with_slow_reading(urls, rule):
    assert spell(*urls, rule=rule) == [SLOWLY[rule](url) for url in urls]


# --- registered domains ---


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("https://www.News.Example.co.uk:8080/a?b#c", "example.co.uk"),
        ("example.com", "example.com"),
        ("a.b.c.unlisted", "c.unlisted"),
        ("gov.uk", "gov.uk"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("http://192.0.2.1:8080/a", "192.0.2.1"),
        ("http://[::1]:8080/a", "[::1]"),
        ("mailto:a@example.com", None),
        ("", None),
        (None, None),
    ],
)
def test_registered_domains__of_urls_and_hosts(text, domain):
    assert registered_domains(pl.Series([text], dtype=pl.String)).to_list() == [domain]


@given(st.lists(made_urls(), max_size=20))
def test_registered_domains__unchanged_by_the_rules(urls):
    # Of a link that was cut off, the domain may still be known.
    urls = [url for url in urls if SLOWLY["paper"](url) or split_slowly(url) is None]
    domains = registered_domains(pl.Series(urls, dtype=pl.String)).to_list()
    short = [
        spelt and re.sub(r"(:[0-9]+)?(/.*)?$", "", spelt) for spelt in spell(*urls, rule="paper")
    ]
    assert domains == short


def test_registered_domains__never_downloads(monkeypatch):
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *names, **_: asked.append(names) or [])
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    urls._suffix_list.cache_clear()
    assert registered_domains(pl.Series(["a.b.example.com"])).to_list() == ["example.com"]
    assert asked == []


# --- a real archive ---


@pytest.fixture
def thai_urls(data_dir):
    """Distinct (tweet, raw URL) of the Thai archive, read by the plainest means."""
    path = data_dir / "io_thailand_092020" / "thailand_092020_tweets_csv_hashed.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = [(row["tweetid"], row["urls"]) for row in csv.DictReader(file)]
    pairs = {(tweet, url) for tweet, cell in rows for url in re.findall(r"'([^']*)'", cell)}
    return pl.DataFrame(sorted(pairs), schema=["tweet", "url"], orient="row")


@pytest.mark.parametrize("rule", RULES)
def test_normalise_urls__thai_archive(thai_urls, rule):
    assert thai_urls.height == 2_299
    spelt = normalise_urls(thai_urls["url"], rule=rule)
    assert spelt.null_count() == 0
    assert spelt.to_list() == [SLOWLY[rule](url) for url in thai_urls["url"]]
