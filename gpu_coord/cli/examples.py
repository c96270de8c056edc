"""Two examples of each command, as its help shows them; a test runs them in this order."""

EXAMPLES: dict[str, tuple[str, str]] = {
    "simulate": (
        "gpu-coord simulate --out archive --seed 1",
        "gpu-coord simulate --out others --preset null --format shares.csv",
    ),
    "ingest": (
        "gpu-coord ingest archive/tweets.csv archive/users.csv --store store",
        "gpu-coord ingest archive/tweets.csv --store bare --url-rule paper",
    ),
    "columns": (
        "gpu-coord columns archive/tweets.csv",
        "gpu-coord columns others/shares.csv --map account_id=account_id",
    ),
    "detect": (
        "gpu-coord detect store --out run",
        "gpu-coord detect store --out slow --kinds hashtag,url --lags 1-4 --groups 0",
    ),
    "share": (
        "gpu-coord share store --out shared --kind url,hashtag --window 60s",
        "gpu-coord share store --out coortweet --kind url --mode coortweet",
    ),
    "coact": (
        "gpu-coord coact store --out layers",
        "gpu-coord coact store --out fused --layers co_url,co_hashtag:10m --merge fused",
    ),
    "cycle": (
        "gpu-coord cycle store --seeds seeds.txt --kind hashtag --out cycle",
        "gpu-coord cycle store --seeds seeds.txt --kind hashtag --window 10m --out wide",
    ),
    "show": (
        "gpu-coord show run",
        "gpu-coord show run groups --rows 5",
    ),
    "explain": (
        "gpu-coord explain run acct-3f9a2c7d41b0 acct-08d1e5b6f7a2",
        "gpu-coord explain run alice bob --show-ids",
    ),
    "report": (
        "gpu-coord report run",
        "gpu-coord report run shared --out page.html --min-group 5",
    ),
    "model": (
        "gpu-coord model store --out model",
        "gpu-coord model store --out narrow --candidates run",
    ),
    "roles": (
        "gpu-coord roles run",
        "gpu-coord roles run --model model --min-followers 2",
    ),
    "calibrate": (
        "gpu-coord calibrate store --out calibration",
        "gpu-coord calibrate store --out quick --copies 5 --groups 0",
    ),
    "selftest": (
        "gpu-coord selftest",
        "gpu-coord selftest --backend gpu --out report.json",
    ),
    "info": (
        "gpu-coord info",
        "gpu-coord info --json",
    ),
    "timeline": (
        "gpu-coord timeline store '#news' --out timeline.png",
        "gpu-coord timeline store '#news' --out timeline.csv --run run",
    ),
    "cascades": (
        "gpu-coord cascades store --kind hashtag --out cascades",
        "gpu-coord cascades store --kind hashtag --run run --out escapes",
    ),
    "cohorts": (
        "gpu-coord cohorts store --run run --out cohorts",
        "gpu-coord cohorts store --run run --period month --out months",
    ),
    "transplant": (
        "gpu-coord transplant store --into bare --out planted",
        "gpu-coord transplant store --into bare --kinds hashtag --out tags",
    ),
    "demo": (
        "gpu-coord demo",
        "gpu-coord demo --out demo-2 --seed 2",
    ),
    "evaluate": (
        "gpu-coord evaluate run --truth archive/truth_accounts.parquet",
        "gpu-coord evaluate run --truth truth.csv --prevalence 0.001 --resamples 0",
    ),
    "compare": (
        "gpu-coord compare store --truth archive/truth_accounts.parquet",
        "gpu-coord compare store --truth truth.csv --methods co_activity --out ours",
    ),
    "sweep": (
        "gpu-coord sweep store grid.toml --out sweep",
        "gpu-coord sweep store grid.toml --out half --sample 2",
    ),
    "verify": (
        "gpu-coord verify store",
        "gpu-coord verify run --json",
    ),
}
