"""What makes two URLs the same.

In: a column of URLs as people shared them. Out: a column of the same length whose equal values
mean the same page (`canonical`) or the same address without its dressing (`paper`), null for
what names no host. Python runs once per distinct host; all else is column expressions.
"""

from __future__ import annotations

import re
from functools import cache, partial, reduce
from ipaddress import IPv4Address, IPv6Address
from operator import or_
from typing import TYPE_CHECKING, get_args
from urllib.parse import unquote

import polars as pl

from gpu_coord.ground.kinds import UrlRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from tldextract import TLDExtract


# Invisible in print, so what differs only by them was copied, not meant: controls, zero width
# space, line and paragraph separators, direction marks, byte order mark. The joiners U+200C and
# U+200D are spelling in several scripts and stay.
_INVISIBLE = (
    r"[\x00-\x1F\x7F-\x9F\u{61C}\u{200B}\u{200E}\u{200F}\u{2028}-\u{202E}\u{2060}-\u{206F}\u{FEFF}]"
)
_PROTOCOL = r"^(?i-u:(?:https?|ftp):[/\\]*|[/\\]{2,})+"
# With a protocol outside the list above, what follows is no page on the web.
_OTHER_PROTOCOL = r"^(?i-u:[a-z][a-z0-9+.-]*):[/\\]{2}"

_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9_-]{1,63}", re.ASCII)
_FRONTS = ("www", "m", "mobile", "amp")
_WIKI_MOBILE = re.compile(
    r"^([a-z-]+)\.m\.((?:wikipedia|wiktionary|wikiquote|wikisource|wikinews)\.org)(?=:|$)"
)

# What programs put where they cut a text; `Read more...` after a link looks the same.
_CUT_OFF = rf"(?:\u{{2026}}|%(?i-u:e2%80%a6)|\.\.\.)(?:\s|{_INVISIBLE})*$"

# Addresses that only lead on, and the parameter that says where to: (page, names).
_REDIRECTS = (
    (r"(?:lm?\.)?facebook\.com/l\.php", "u"),
    (r"l\.instagram\.com/?", "u"),
    (r"google(?:\.[a-z]{2,3}){1,2}/url", "q|url"),
    (r"youtube\.com/redirect", "q"),
    (r"out\.reddit\.com[^?]*", "url"),
    (r"t\.umblr\.com/redirect", "z"),
    (r"vk\.(?:com|ru)/away\.php", "to"),
)
_REDIRECT_HOSTS = (
    r"^(?:(?:lm?\.)?facebook\.com|l\.instagram\.com|google(?:\.[a-z]{2,3}){1,2}|youtube\.com"
    r"|out\.reddit\.com|t\.umblr\.com|vk\.(?:com|ru))$"
)
_TARGET = (
    "^(?:"
    + "|".join(rf"{page}\?(?:.*?&)??(?:amp;)*(?:{names})" for page, names in _REDIRECTS)
    + r")=((?i-u:https?(?::|%3A)(?:/|%2F){2})[^&]+)"
)
_MAX_REDIRECTS = 4  # one behind the other

# Parameters that say how a link travelled, not what it shows. Generic names (ref, source, id, p,
# s, t, cid, ...) are absent on purpose: on some site each of them names the page.
_TRACKING = (
    r"^(?i-u:utm_[a-z0-9_-]*|fbclid|gclid|gclsrc|dclid|gbraid|wbraid|gad_source|srsltid|_ga|_gl"
    r"|msclkid|yclid|ysclid|_openstat|twclid|ttclid|li_fat_id|rdt_cid|epik|sccid|igshid|igsh"
    r"|mibextid|sfnsn|fb_action_ids|fb_action_types|fb_source|fb_ref"
    r"|__(?:tn__|(?:xts|cft)__(?:\[[0-9]*\]|%5B[0-9]*%5D)?)|__twitter_impression|ref_src|ref_url"
    r"|mc_cid|mc_eid|mkt_tok|_hsenc|_hsmi|__hs(?:tc|sc|fp)|hsctatracking|vero_id|vero_conv"
    r"|oly_anon_id|oly_enc_id|s_kwcid|_branch_match_id|_branch_referrer|xtor|wt\.mc_id|wt_mc"
    r"|mtm_(?:campaign|source|medium|keyword|content|cid|group|placement)"
    r"|pk_(?:campaign|kwd|keyword|source|medium|content|cid)|piwik_(?:campaign|kwd|keyword)"
    r"|at_(?:campaign|medium|custom[0-9]+)|ns_(?:campaign|source|mchannel|linkname|fee)"
    r"|guccounter|guce_referrer|guce_referrer_sig|amp_(?:js_v|gsa|kit|r))(?:=|$)"
    r"|^amp(?:=(?:1|true)?)?$|^(?i-u:outputtype)=amp$"
)
# The same where a name is a tracking parameter on one platform only: (hosts, names).
_PLATFORM_TRACKING = (
    (r"^(?:twitter|x)\.com$", r"^(?:s|t|src|cxt)(?:=|$)"),
    (r"^(?:music\.)?youtube\.com$|^youtu\.be$", r"^(?:feature|si|pp|ab_channel|app)(?:=|$)"),
    (
        r"^(?:[a-z-]+\.)?facebook\.com$",
        r"^(?:_rdr|_rdc|ref|refsrc|refid|ref_component|fref|pnref|hc_ref|hc_location|eav|paipv|epa"
        r"|d|vh|sfns|wtsid|rdid|fbt_id|lul)(?:=|$)",
    ),
    (r"^(?:docs|drive)\.google\.com$", r"^usp(?:=|$)"),
)

# Hosts whose first path segment is a name that somebody chose: `/amp` is no mark there.
_NAMED_HOSTS = (
    r"^(?:[a-z0-9_-]+\.)*(?:(?:youtube|youtube-nocookie|facebook|fb|instagram|tiktok|vimeo|reddit"
    r"|dailymotion|twitter|x|github|gitlab|medium|vk)\.com|vk\.ru|youtu\.be|instagr\.am|t\.me"
    r"|telegram\.(?:me|dog)|dai\.ly|redd\.it)$"
)
# Platforms whose scripts showed what stands behind `#!` in place of the page before it.
_ROUTED_HOSTS = r"^(?:(?:[a-z-]+\.)?facebook|twitter|youtube)\.com$"
_AMP_CACHES = (
    r"^(?:google(?:\.[a-z]{2,3}){1,2}|(?:[a-z0-9_-]+\.)?(?:cdn\.ampproject\.org|bing-amp\.com))$"
)
_AMP_CACHED = r"^/(?:amp|c|v|wp)/(?:s/)?((?i-u:[a-z0-9-]+\.)+(?i-u:[a-z][a-z0-9-]*)(?:[/:?].*)?)$"

_WORD = "[A-Za-z0-9_-]+"
_FACEBOOK = r"^(?:(?:web|mbasic|touch|[a-z]{2}-[a-z]{2})\.)?(?:facebook|fb)\.com"
# Facebook states no rule; long ids are taken to be unique across accounts, short ones are left.
_FACEBOOK_ID = "([0-9]{9,}|pfbid[0-9A-Za-z]+)"
# Content that its platform finds by the captured id alone: (address, its one spelling).
_IDENTIFIED = (
    (rf"^youtu\.be/(?:watch\?(?:.*?&)??v=)?({_WORD})(?:[?&].*)?$", "youtube.com/watch?v=$1"),
    (
        rf"""(?x)^(?:music\.)?youtube(?:-nocookie)?\.com/(?:watch/?\?(?:.*?&)??v=
            |(?:shorts|embed|live|v|e)/)({_WORD})(?:[/?&].*)?$""",
        "youtube.com/watch?v=$1",
    ),
    (
        r"^(?:twitter|x)\.com(?:/i/web|/[^/?]+)?/status(?:es)?/([0-9]+)(?:[/?&].*)?$",
        "twitter.com/status/$1",
    ),
    (
        rf"""(?x){_FACEBOOK}(?:/(?:story|permalink)\.php\?(?:.*?&)??story_fbid=
            |/(?:[^/?]+/)?(?:[^/?]+/)?(?:posts|permalink)/(?:[^/?]+/)?)
            {_FACEBOOK_ID}(?:[/?&].*)?$""",
        "facebook.com/posts/$1",
    ),
    (
        rf"""(?x){_FACEBOOK}/(?:photo(?:\.php)?\?(?:.*?&)??fbid=
            |[^/?]+/photos/(?:[^/?]+/)*?){_FACEBOOK_ID}(?:[/?&].*)?$""",
        "facebook.com/photo?fbid=$1",
    ),
    (
        rf"""(?x){_FACEBOOK}/(?:(?:watch(?:/live)?|video\.php)\?(?:.*?&)??v=|reel/
            |[^/?]+/videos/(?:[^/?]+/)*?){_FACEBOOK_ID}(?:[/?&].*)?$""",
        "facebook.com/watch?v=$1",
    ),
    (
        rf"""(?x)^(?:instagram\.com|instagr\.am)/(?:(?:[^/?]+/)?(?:p|tv|reel)/({_WORD})(?:[/?].*)?
            |reels/({_WORD})(?:\?.*)?)$""",
        "instagram.com/p/$1$2",
    ),
    (
        r"""(?x)^tiktok\.com/(?:@[^/?]*/|share/)?(?:video|photo|v|embed|embed/v2|player/v1)/([0-9]+)
            (?:\.html)?(?:[/?].*)?$""",
        "tiktok.com/video/$1",
    ),
    (
        r"^(?:t|telegram)\.(?:me|dog)/(?:s/)?([A-Za-z][A-Za-z0-9_]{3,})/([0-9]+)(?:\?.*)?$",
        "t.me/$1/$2",
    ),
    (
        r"""(?x)^(?:player\.)?vimeo\.com/(?:video/|channels/[^/?]+/|groups/[^/?]+/videos/)?([0-9]+)
            (?:[/?].*)?$""",
        "vimeo.com/$1",
    ),
    (
        r"^(?:dailymotion\.com/(?:embed/)?video|dai\.ly)/([a-z0-9]+)(?:[_/?].*)?$",
        "dailymotion.com/video/$1",
    ),
    (
        r"""(?x)^(?:(?:(?:old|new|np)\.)?reddit\.com(?:/(?:r|user)/[^/?]+)?/comments|redd\.it)
            /([a-z0-9]+)(?:/[^/?]*)?(?:\?.*)?$""",
        "reddit.com/comments/$1",
    ),
    (
        r"""(?x)^vk\.(?:com|ru)/(?:[^?]*\?(?:.*?&)??[wz]=)?
            ((?:wall|video|photo|clip)-?[0-9]+_[0-9]+)(?:[?&%].*)?$""",
        "vk.com/$1",
    ),
)
# The words with which a platform's own addresses begin are nobody's ids, wherever they stand:
# `youtu.be/shorts` is no video. What would be spelt with one is left as it is. Ids of the other
# platforms hold digits; at Reddit, where ids are numbers in base 36, only words that are no post's.
_RESERVED = r"""(?x)^(?:
    youtube\.com/watch\?v=(?:about|account|attribution_link|c|channel|clip|e|embed|feed|gaming
        |hashtag|live|live_stream|movies|oembed|playlist|playlists|post|premium|redirect|results
        |shorts|t|upload|user|v|videoseries|watch)
    |instagram\.com/p/(?:accounts|audio|direct|explore|p|reel|reels|stories|tv)
    |t\.me/(?:addemoji|addlist|addstickers|addtheme|boost|call|confirmphone|contact|giftcode|invoice
        |joinchat|login|proxy|setlanguage|share|socks)/[0-9]+
    |dailymotion\.com/video/(?:channel|embed|feed|hashtag|live|player|playlist|search|signin|topic
        |upload|user|video|videos)
    |reddit\.com/comments/(?:comments|gallery|message|r|u|user)
    )$"""

_HEX_PAIRS = [a + b for a in "0123456789abcdefABCDEF" for b in "0123456789abcdefABCDEF"]
_LOWER_ESCAPES = [f"%{pair}" for pair in _HEX_PAIRS if pair != pair.upper()]
_PRINTABLE = [chr(code) for code in range(0x21, 0x7F)]
# Escapes beyond ASCII may stay: they are how a normalised URL spells those characters.
_ASCII_ESCAPES = [f"%{code:02X}" for code in range(0x80)]
_ASCII = [chr(code) for code in range(0x80)]


def normalise_urls(urls: pl.Series, *, rule: UrlRule = "canonical") -> pl.Series:
    """Give all spellings of one address the same text.

    `paper` drops protocol, subdomains (by the public suffix list), query, fragment and trailing
    slash. `canonical` keeps the subdomains except leading `www.`, `m.`, `mobile.` and `amp.` (the
    last three only in front of a registered domain: `mobile.de` is a site), drops protocol,
    fragment, trailing slash, tracking parameters and AMP marks, sorts the other parameters by key
    then value, and reduces to its id what a well-known platform finds by id (a platform's own
    words are no ids: `youtu.be/playlist` is no video). It keeps a fragment that is a route, `#!a`
    or `#/a`, for it names the page, and puts the page in place of a redirect that leads to it
    (`l.facebook.com/l.php?u=`, `google.com/url?q=` and others). Both drop user names and the
    ports 80 and 443, write international hosts in ASCII (punycode) and other characters of path
    and query percent-encoded, and keep the case of the path. Parameters are separated by `&` alone
    (`&amp;` is read as `&`); dot segments, repeated slashes inside a path, blank values and
    repeated parameters are kept. Applying a rule twice changes nothing more.

    Parameters
    ----------
    urls
        URLs with or without protocol; duplicates cost little.
    rule
        Which of the two rules.

    Returns
    -------
    Strings in the order and with the name of `urls`. Null where `urls` is null or empty or names
    no web host: other protocols (`mailto:`, `javascript:`, `data:`), an `@` without protocol,
    and hosts without a dot (a bare word cannot be told from a host name). Null, too, where a link
    was cut off, see `find_cut_off`.

    Raises
    ------
    ValueError
        If `rule` is unknown.
    TypeError
        If `urls` does not hold strings.

    Examples
    --------
    >>> normalise_urls(pl.Series(["https://www.Example.com/a/?utm_source=x&b=2&a=1#top"])).item()
    'example.com/a?a=1&b=2'
    """
    if rule not in get_args(UrlRule):
        raise ValueError(f"rule is {rule!r}; it must be one of {', '.join(get_args(UrlRule))}")
    _check_strings(urls)
    return _map_distinct(urls, _spell_canonical if rule == "canonical" else _spell_paper)


def registered_domains(urls_or_hosts: pl.Series) -> pl.Series:
    """Give the registered domain of each URL or host: what one owner answers for.

    Parameters
    ----------
    urls_or_hosts
        URLs in any spelling that `normalise_urls` takes, its results, or bare hosts.

    Returns
    -------
    Strings in the order and with the name of `urls_or_hosts`: the public suffix and one label
    (under a suffix that the list lacks, the last two labels); the host itself where it is an
    address or a public suffix; null where there is no web host.

    Raises
    ------
    TypeError
        If `urls_or_hosts` does not hold strings.
    """
    _check_strings(urls_or_hosts)
    return _map_distinct(urls_or_hosts, _find_domains)


def find_cut_off(urls: pl.Series) -> pl.Series:
    """Tell which links end in an ellipsis (`…`, `%E2%80%A6`, `...`): what followed is not known.

    Returns
    -------
    Booleans in the order of `urls`; null where `urls` is null.
    """
    return urls.str.contains(_CUT_OFF)


def _drop_cut_off(urls: pl.Series) -> pl.Series:
    return urls.set(find_cut_off(urls), None)


def _spell_paper(urls: pl.Series) -> pl.Series:
    parts = _split_urls(_drop_cut_off(urls))
    spelt = _map_distinct(parts["host"], _each(_drop_subdomains)) + parts["path"]
    return _drop_cut_off(spelt)


def _spell_canonical(urls: pl.Series) -> pl.Series:
    parts = _drop_tracking(_drop_amp_marks(_follow_redirects(_find_pages(urls))))
    urls = _join_parts(parts)
    spelt = _map_where(urls, parts["host"].str.contains(_NAMED_HOSTS), _write_ids)
    return _drop_cut_off(_add_routes(spelt, parts["route"]))


def _find_domains(urls: pl.Series) -> pl.Series:
    hosts = _split_urls(urls)["host"].str.replace(r":[0-9]+$", "")
    return _map_distinct(hosts, _each(_drop_subdomains))


def _check_strings(urls: pl.Series) -> None:
    if urls.dtype not in (pl.String, pl.Null):
        raise TypeError(f"{urls.name!r} holds {urls.dtype}; URLs are strings: cast the column")


def _map_distinct(values: pl.Series, convert: Callable[[pl.Series], pl.Series]) -> pl.Series:
    values = values.cast(pl.String)
    distinct = values.drop_nulls().unique()
    return values.replace_strict(distinct, convert(distinct), default=None, return_dtype=pl.String)


def _map_where(
    values: pl.Series, chosen: pl.Series, convert: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """Convert the chosen rows only, for conversions too dear to be run on all."""
    if not chosen.any():
        return values
    rows = chosen.arg_true()
    return values.clone().scatter(rows, convert(values.gather(rows)))


def _each(convert: Callable[[str], str | None]) -> Callable[[pl.Series], pl.Series]:
    return lambda values: pl.Series([convert(value) for value in values], dtype=pl.String)


def _split_urls(urls: pl.Series) -> pl.DataFrame:
    """Split into host (with port), path, query and route; all null where there is no web host."""
    text = urls.str.replace_all(_INVISIBLE, "").str.strip_chars()
    address = text.str.replace(_PROTOCOL, "")
    is_bare = address.str.len_bytes() == text.str.len_bytes()
    authority = address.str.extract(r"^([^/\\?#]*)")
    is_refused = is_bare & (
        authority.str.contains("@", literal=True) | text.str.contains(_OTHER_PROTOCOL)
    )
    host = _map_distinct(authority.set(is_refused, None), _each(_read_host))
    tail = address.str.replace(r"^[^/\\?#]+", "").set(host.is_null(), None)
    page = _escape(tail.str.replace("#.*$", "")).str.splitn("?", 2).struct
    path = page.field("field_0").str.replace_all("\\", "/", literal=True).str.strip_chars_end("/")
    query, route = page.field("field_1"), _read_routes(tail)
    return pl.DataFrame({"host": host, "path": path, "query": query, "route": route})


def _read_routes(tails: pl.Series) -> pl.Series:
    """Give what stands behind `#` where it names a page (`!/a`, `!a`, `/a`), null elsewhere."""
    routes = pl.repeat(None, len(tails), dtype=pl.String, eager=True)
    may_have_one = tails.str.contains("#!", literal=True) | tails.str.contains("#/", literal=True)
    return _map_where(routes, may_have_one, lambda _: _cut_routes(tails.filter(may_have_one)))


def _cut_routes(tails: pl.Series) -> pl.Series:
    parts = _escape(tails.str.extract("^[^#]*#([!/][^#]*)")).str.splitn("?", 2).struct
    name = parts.field("field_0").str.strip_chars_end("/")
    query = _drop_parameters(_read_ampersands(parts.field("field_1")), _TRACKING)
    frame = pl.DataFrame({"name": name.set(name.is_in(["", "!"]), None), "query": query})
    return frame.select(pl.col("name") + _write_query(pl.col("query"))).to_series()


def _split_pages(urls: pl.Series) -> pl.DataFrame:
    parts = _split_urls(urls)
    return parts.with_columns(_map_distinct(parts["host"], _each(_drop_fronts)).alias("host"))


def _find_pages(urls: pl.Series) -> pl.DataFrame:
    return _follow_routes(_unwrap_amp_caches(_split_pages(_drop_cut_off(urls))))


def _follow_redirects(parts: pl.DataFrame) -> pl.DataFrame:
    """Put the page in place of the redirect that leads to it."""
    for _ in range(_MAX_REDIRECTS):
        rows = parts["host"].str.contains(_REDIRECT_HOSTS).arg_true()
        rows = rows.filter(_join_parts(parts[rows]).str.contains(_TARGET).fill_null(value=False))
        if not rows.len():
            break
        targets = _join_parts(_drop_tracking(parts[rows])).str.extract(_TARGET)
        urls = targets.str.replace_many(_ASCII_ESCAPES, _ASCII)
        parts = _replace_rows(parts, rows, _find_pages(urls))
    return parts


def _replace_rows(parts: pl.DataFrame, rows: pl.Series, others: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame([parts[name].scatter(rows, others[name]) for name in parts.columns])


def _follow_routes(parts: pl.DataFrame) -> pl.DataFrame:
    """Write `twitter.com/#!/a` as `twitter.com/a`, on platforms where that was one page."""
    rows = parts["route"].str.contains("^!?/").arg_true()
    rows = rows.filter(parts["host"].gather(rows).str.contains(_ROUTED_HOSTS))
    if not rows.len():
        return parts
    routed = parts[rows]
    pages = routed["route"].str.strip_prefix("!").str.splitn("?", 2).struct
    path, query = pages.field("field_0"), pages.field("field_1")
    nowhere = pl.lit(None, dtype=pl.String)
    return _replace_rows(parts, rows, routed.with_columns(path=path, query=query, route=nowhere))


def _escape(tails: pl.Series) -> pl.Series:
    """Write what is not printable ASCII as %XX of its UTF-8 bytes, and all %xx in capitals."""
    tails = _map_where(tails, tails.str.contains(r"[^\x21-\x7E]"), _escape_bytes)
    return _map_where(
        tails,
        tails.str.contains("%", literal=True),
        lambda some: some.str.replace_many(_LOWER_ESCAPES, [e.upper() for e in _LOWER_ESCAPES]),
    )


def _escape_bytes(tails: pl.Series) -> pl.Series:
    escapes = [f"%{ord(char):02x}" for char in _PRINTABLE]
    return (
        tails.str.encode("hex").str.replace_all("(..)", "%$1").str.replace_many(escapes, _PRINTABLE)
    )


def _read_host(authority: str) -> str | None:
    """Give the host in its one spelling, with its port unless that is a default one."""
    host, port = _split_port(authority.rpartition("@")[2])
    if not re.fullmatch("[0-9]{0,5}", port) or int(port or 0) > 65535:
        return None
    name = _read_ipv6(host) if host.startswith("[") else _read_name(host)
    return f"{name}:{port}" if name and port not in ("", "80", "443") else name


def _split_port(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, ""
    return name, port.lstrip("0") or port[:1]


def _read_ipv6(host: str) -> str | None:
    try:
        return f"[{IPv6Address(host.removeprefix('[').removesuffix(']').partition('%')[0])}]"
    except ValueError:
        return None


def _read_name(host: str) -> str | None:
    if not host.isascii() or "%" in host:
        host = _write_in_ascii(unquote(host))
    host = host.lower().rstrip(".")
    if len(host) > 253 or not _HOST.fullmatch(host):
        return None
    # A numeric last label makes a host an IPv4 address or nothing: "12.30" is a time of day.
    return host if not host.rpartition(".")[2].isdigit() or _is_ipv4(host) else None


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def _write_in_ascii(host: str) -> str:
    """Write an international host name in punycode (UTS 46 without its validity checks)."""
    from idna import IDNAError, uts46_remap

    try:
        name = uts46_remap(host, std3_rules=False)
    except IDNAError:
        return ""
    # Too long for a host already, and the encoder's time is quadratic.
    labels = name.split(".") if len(name) <= 253 else []
    return ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels
    )


def _drop_fronts(host: str) -> str:
    front, _, rest = host.partition(".")
    while front in _FRONTS and "." in rest and (front == "www" or not _is_public_suffix(rest)):
        host = rest
        front, _, rest = host.partition(".")
    return _WIKI_MOBILE.sub(r"\1.\2", host)


def _drop_subdomains(host: str) -> str:
    """Shorten to the registered domain; addresses and public suffixes have none and stay."""
    name, port = _split_port(host)
    if name.startswith("[") or name.rpartition(".")[2].isdigit():
        return host
    parts = _suffix_list().extract_str(name)
    # The list's own rule for a suffix that it lacks: the last label is the suffix.
    known = parts.top_domain_under_public_suffix
    domain = known if parts.suffix else ".".join(name.split(".")[-2:])
    return (domain or name) + (f":{port}" if port else "")


def _is_public_suffix(host: str) -> bool:
    parts = _suffix_list().extract_str(host)
    return bool(parts.suffix) and not parts.domain


@cache
def _suffix_list() -> TLDExtract:
    from tldextract import TLDExtract

    # The bundled list only: no download, and the same answer on each machine of one version.
    return TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=False)


def _unwrap_amp_caches(parts: pl.DataFrame) -> pl.DataFrame:
    """Put the page in place of the cache's address; a cache inside a cache is left alone."""
    is_cache = parts["host"].str.contains(_AMP_CACHES) & parts["path"].str.contains(_AMP_CACHED)
    if not is_cache.any():
        return parts
    cached = parts.with_row_index("row").filter(is_cache)
    pages = _split_pages(cached["path"].str.extract(_AMP_CACHED)).with_columns(cached["row"])
    pages = pages.filter(~pages["host"].str.contains(_AMP_CACHES))
    return (
        parts.with_row_index("row")
        .update(pages.select("row", "host", "path"), on="row", how="left")
        .drop("row")
    )


def _drop_amp_marks(parts: pl.DataFrame) -> pl.DataFrame:
    rows = parts["path"].str.contains("amp", literal=True).arg_true()
    if not rows.len():
        return parts
    rows = rows.filter(~parts["host"].gather(rows).str.contains(_NAMED_HOSTS))
    host, path = parts["host"].gather(rows), parts["path"].gather(rows)
    bare = (
        path.str.replace(r"^(?:/+amp)+/+(.+)$", "/$1")
        .str.replace(r"^(/.*?[^/])(?:(?:/+|\.)amp)+$", "$1")
        .str.replace(r"(?:\.amp)+\.html$", ".html")
    )
    # Without its mark this would be read as a cached page, or as a redirect, the next time.
    is_cached = host.str.contains(_AMP_CACHES) & bare.str.contains(_AMP_CACHED)
    is_redirect = host.str.contains(_REDIRECT_HOSTS) & bare.is_in(["/url", "/redirect"])
    kept = path.zip_with(is_cached | is_redirect, bare)
    return parts.with_columns(parts["path"].clone().scatter(rows, kept))


def _drop_tracking(parts: pl.DataFrame) -> pl.DataFrame:
    """Drop the parameters that do not name the page; sort the others by key, then value."""
    query = _map_where(
        parts["query"],
        parts["query"].is_not_null(),
        lambda queries: _drop_parameters(_read_ampersands(queries), _TRACKING),
    )
    for hosts, names in _PLATFORM_TRACKING:
        is_there = parts["host"].str.contains(hosts) & query.is_not_null()
        query = _map_where(query, is_there, partial(_drop_parameters, names=names))
    return parts.with_columns(query.alias("query"))


def _read_ampersands(queries: pl.Series) -> pl.Series:
    return queries.str.replace_all("(^|&)(?:amp;)+", "$1")


def _drop_parameters(queries: pl.Series, names: str) -> pl.Series:
    parameter = pl.element()
    kept = parameter.filter((parameter != "") & ~parameter.str.contains(names))
    # NUL, which no URL here holds, sorts before all else: so "a=1" comes before "a-b=1".
    by_key = kept.str.replace("=", "\0", literal=True).sort()
    pairs = queries.str.split("&").list.eval(by_key).list.join("&")
    return pairs.str.replace_all("\0", "=", literal=True)


def _join_parts(parts: pl.DataFrame) -> pl.Series:
    page = pl.col("host") + pl.col("path")
    return parts.select(url=page + _write_query(pl.col("query")))["url"]


def _write_query(query: pl.Expr) -> pl.Expr:
    return pl.when(query != "").then("?" + query).otherwise(pl.lit(""))


def _add_routes(urls: pl.Series, routes: pl.Series) -> pl.Series:
    """Add to an address the route behind it, unless an id names the page already."""
    rows = routes.is_not_null().arg_true()
    if not rows.len():
        return urls
    pages = urls.gather(rows)
    has_id = reduce(or_, (pages.str.contains(address) for address, _ in _IDENTIFIED))
    names_no_id = ~has_id | _spell_ids(pages).str.contains(_RESERVED)
    rows = rows.filter(names_no_id)
    return urls.scatter(rows, urls.gather(rows) + "#" + routes.gather(rows))


def _write_ids(urls: pl.Series) -> pl.Series:
    spelt = _spell_ids(urls)
    return urls.zip_with(spelt.str.contains(_RESERVED), spelt)


def _spell_ids(urls: pl.Series) -> pl.Series:
    spelt = urls
    for address, spelling in _IDENTIFIED:
        spelt = spelt.str.replace(address, spelling)
    # Telegram's names know no case; nothing else on this address has any.
    is_telegram = spelt.str.contains(r"^t\.me/[A-Za-z]\w{3,}/[0-9]+$")
    return _map_where(spelt, is_telegram, lambda some: some.str.to_lowercase())
