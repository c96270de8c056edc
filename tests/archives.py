"""Archives as bytes, and what became of them in a store."""

import csv
import io
import re
import unicodedata
import zipfile

import polars as pl

from gpu_coord.archive.ingest import ingest


def ingest_any(*paths, **options):
    """Ingest whatever can be read, however little it is."""
    return ingest(*paths, **{"max_rejects": 1.0} | options)


def write_table(rows, header, **choices):
    """Return a CSV file of rows; cells without a column are left out."""
    out, plain = io.StringIO(), {"extrasaction": "ignore", "restval": "", "lineterminator": "\n"}
    writer = csv.DictWriter(out, header, **plain | choices)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def pack_zip(kind=zipfile.ZIP_DEFLATED, **members):
    """Return a zip file of members, in whose names two underscores stand for the dot."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as packed:
        for name, content in members.items():
            packed.writestr(name.replace("__", "."), content)
    return out.getvalue()


def list_events(store):
    """(account_id, content_id, kind, value, time) of all events, sorted."""
    events = (
        store.read("events")
        .join(store.read("entities").drop("kind"), on="entity")
        .join(store.read("accounts"), on="account")
        .join(store.read("posts").select("post", "content_id"), on="post")
    )
    kind = pl.col("kind").cast(pl.String)
    return sorted(events.select("account_id", "content_id", kind, "value", "time").rows())


def list_rejects(store):
    return sorted(store.read("rejects").select("row", "reason").rows())


# What programs write where there is nothing.
NOTHING = [
    "NA",
    "N/A",
    "#N/A",
    "<NA>",
    "nan",
    "NaN",
    "None",
    "NULL",
    "null",
    r"\N",
    "-",
    "[]",
    "{}",
]
# Words of the releases of X beside these.
NOTHING_X = [*NOTHING, "absent", "NAN", "none", "NONE", "Null"]


def fold_tag(tag):
    """The obvious way to the hashtag that is stored."""
    tag = unicodedata.normalize("NFKC", tag)
    # Blanks but for the four that Python alone takes for such, and what has no width.
    edge = "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]|(?![\x1c-\x1f])\\s"
    tag = re.sub(f"^({edge}|#)*|({edge})*$", "", tag)
    return unicodedata.normalize("NFKC", tag.casefold())


def normalise_text(text):
    """The obvious way to the text that is hashed."""
    # Python alone takes U+001C to U+001F for white space.
    text = unicodedata.normalize("NFKC", text).lower()
    return " ".join(re.sub(r"https?://\S*", " ", text).split())
