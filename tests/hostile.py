"""Two hundred strings that are never more than text, wherever they are shown."""
# ruff: noqa: E501 - one string may be long

import re
import unicodedata

_RUNS = "alert(1)"
SCRIPTS = [
    f"<script>{_RUNS}</script>", f"</script><script>{_RUNS}</script>", f"<ScRiPt>{_RUNS}</sCrIpT>",
    "<script src=//e.example/x.js></script>", f"<img src=x onerror={_RUNS}>",
    f'"><img src=x onerror={_RUNS}>', f"'><img src=x onerror={_RUNS}>", f"<svg onload={_RUNS}>",
    f"<svg><script>{_RUNS}</script></svg>", f"<body onload={_RUNS}>", f"<iframe src=javascript:{_RUNS}>",
    f"<iframe srcdoc='<script>{_RUNS}</script>'>", f"<object data=javascript:{_RUNS}>",
    f"<embed src=javascript:{_RUNS}>", f"<a href=javascript:{_RUNS}>x</a>", f"javascript:{_RUNS}",
    f"JaVaScRiPt:{_RUNS}", f"java\tscript:{_RUNS}", f"data:text/html,<script>{_RUNS}</script>",
    f"vbscript:{_RUNS}", f"<math><mtext></mtext><mglyph><style><img src onerror={_RUNS}>",
    f"<details open ontoggle={_RUNS}>", f"<input autofocus onfocus={_RUNS}>",
    "<style>@import '//e.example/x.css'</style>", "<style>*{display:none}</style>",
    "<link rel=stylesheet href=//e.example/x.css>", "<meta http-equiv=refresh content=0;//e.example>",
    "<base href=//e.example/>", "<form action=//e.example><button>x</button></form>",
    "<plaintext>", "<textarea>", "<title>x</title>", "<!-- x", "-->", "<!--><script>", "]]>",
    "<![CDATA[x]]>", "<?xml version='1.0'?>", "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>",
    "&y;", "&lt;script&gt;", "&#60;b&#62;", "&#x3c;b&#x3e;", "&quot;", "&amp;amp;", "&", "<", ">", '"',
    "'", "`", "\\", "\\u003cscript\\u003e", "\\x3cscript\\x3e", "%3Cscript%3E", f"'-{_RUNS}-'",
    f'"-{_RUNS}-"', f"`-{_RUNS}-`", f"';{_RUNS};//", f'";{_RUNS};//', f"\\';{_RUNS};//",
    f"*/{_RUNS}/*", "</td></tr></table>", "</style>", "</title>", "</textarea>", "<td rowspan=99999>",
    "__proto__", "constructor", "toString", "hasOwnProperty",
]  # fmt: skip
TEMPLATES = [
    "{{ 7 * 7 }}", "{{ config }}", "{{ ''.__class__.__mro__ }}", "{% for x in y %}", "{# x #}",
    "{{{x}}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "[[${7*7}]]", "{x}", "{0}", "%s", "%(x)s",
    "$x", "@{x}", "*{x}", "~{x}", "{{constructor.constructor('alert(1)')()}}",
]  # fmt: skip
FORMULAS = [
    "=1+1", '=HYPERLINK("http://e.example","x")', "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1+1)",
    "\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "＝1+1", "＋1+1", "－1+1", "＠SUM(1)", '"=1+1"', "'=1+1",
    "=DDE(\"cmd\",\"/C calc\",\"x\")", "=IMPORTXML(\"http://e.example\",\"//a\")", "%0A=1+1", ";=1+1",
    ",=1+1", "=A1", "\u200b=1+1", "|calc", "=1+1\n=2",
]  # fmt: skip
TERMINAL = [
    "\x1b[31mred", "\x1b]0;title\x07", "\x1b]8;;http://e.example\x07x", "\x1b[2J", "\x1b[1A", "\x1bc",
    "\x9b31m", "\x1b[?1049h", "[red]x[/red]", "[bold]", "[link=http://e.example]x[/link]",
    "\rover", "\x08\x08back", "\a", "\x7f", "$(reboot)", "`reboot`", "; reboot", "| reboot", "--help",
    "-rf", "../../etc/passwd", "/dev/null", "C:\\con", "nul", "~root",
]  # fmt: skip
LATEX = [
    "a_b", "50 %", "x & y", "#1", "$x$", "{", "}", "^", "~", "\\input{/etc/passwd}",
    "\\write18{reboot}", "$\\href{javascript:alert(1)}{x}$", "\\begin{verbatim}", "\\\\",
]  # fmt: skip
# What Polars, Rich and regular expressions would take for others.
PATTERNS = ["*", "^.*$", "^weight_.*$", ":bomb:", "\\1", "\\g<0>", "a[1]", "{name}", "_x"]
BIDIRECTIONAL = [
    f"{mark}gnp.exe"
    for mark in "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
]
INVISIBLE = [
    f"a{mark}b"
    for mark in "\u00ad\u180e\u200b\u200c\u200d\u2060\u2061\ufeff\ufff9\u2028\u2029\U000e0041\ue000"
]
CONTROLS = [f"a{chr(code)}b" for code in (*range(1, 32), *range(0x80, 0xA0, 4), 0xFFFE, 0xFFFF)]
HOSTILE = [
    *SCRIPTS,
    *TEMPLATES,
    *FORMULAS,
    *TERMINAL,
    *LATEX,
    *PATTERNS,
    *BIDIRECTIONAL,
    *INVISIBLE,
    *CONTROLS,
]
assert len(set(HOSTILE)) == len(HOSTILE) >= 200


def write_shares(folder, names, *, kinds=("url", "hashtag", "hashtag")):
    """Write shares in which each account, object and label is one of the names.

    Account n and the next one share object n within five seconds, each day of four; the kinds of
    objects take turns.
    """
    import polars as pl

    rows = [
        {"account_id": names[(n + end) % len(names)], "content_id": f"{n}.{end}.{day}",
         "object_id": names[n], "timestamp_share": 1_600_000_000 + 86_400 * day + 400 * n + 5 * end,
         "kind": kinds[n % len(kinds)]}
        for n in range(len(names)) for end in (0, 1) for day in range(4)
    ]  # fmt: skip
    folder.mkdir()
    pl.DataFrame(rows).write_parquet(folder / "shares.parquet")
    labels = {"account_id": names[:190], "label": names[-190:]}  # of classes there are 200 at most
    pl.DataFrame(labels).write_parquet(folder / "labels.parquet")
    return folder


def is_safe(text):
    """By the plain rule: no spreadsheet takes it for a formula, nothing in it is invisible."""
    begins = text.lstrip()[:1] in tuple("=+-@＝＋－＠")
    hidden = any(unicodedata.category(each)[0] == "C" or each in "\u2028\u2029" for each in text)
    return not begins and not hidden


def read_latex(text):
    """Undo what `escape_latex` did; what it left alone must need no escape."""
    names = {r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textbackslash{}": "\\",
             r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|",
             "{[}": "[", "{]}": "]", "{*}": "*"}  # fmt: skip
    pattern = "|".join(map(re.escape, names)) + r"|\\[&%$#_{}]"
    rest = re.sub(pattern, "", text)
    assert not set(rest) & set("&%$#_{}~^\\<>|[]*"), text
    return re.sub(pattern, lambda found: names.get(found[0], found[0][1:]), text)
