"""Two peers of coordinated sharing, run from the user's own checkouts: tables in, tables out.

GPU_COORD_COORTWEET: a checkout of CooRTweet (R functions on data.table, networks on igraph; needs
Rscript with both).
GPU_COORD_QUT: one of the Coordination Network Toolkit; GPU_COORD_QUT_PYTHON: a Python with what it
imports (this one unless told).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl

# Sources the peer's files as they are.
_R_FUNCTIONS = """
given <- commandArgs(TRUE)
suppressPackageStartupMessages(library(data.table))
setDTthreads(0)
source_peer <- function(names)
  for (name in names) source(file.path(given[1], "R", name))
source_peer(c("detect_groups.R", "calc_group_combinations.R"))
read_table <- function(path)
  fread(path, colClasses = list(character = c("object_id", "account_id", "content_id")),
        na.strings = NULL)
"""
_R_TIME = """
read_memory <- function(name)
  gsub("[^0-9]", "", grep(name, readLines("/proc/self/status"), value = TRUE))
shares <- read_table(given[2])
cat("5", file = "/proc/self/clear_refs")  # the peak of the process begins anew
resident <- read_memory("VmRSS")
started <- proc.time()[["elapsed"]]
pairs <- detect_groups(shares, time_window = as.numeric(given[3]),
                       min_participation = as.integer(given[4]))
seconds <- proc.time()[["elapsed"]] - started
writeLines(c(seconds, resident, read_memory("VmHWM")), file.path(given[5], "figures.txt"))
fwrite(pairs, file.path(given[5], "pairs.csv"))
"""
_R_COMPARE = """
suppressPackageStartupMessages(library(igraph))
source_peer(c("flag_speed_share.R", "generate_coordinated_network.R", "account_stats.R",
              "group_stats.r"))
results <- list(pairs = list(), edges = list(), accounts = list(), groups = list(),
                errors = list())
keep <- function(name, table, ...)
  if (nrow(table))
    results[[name]][[length(results[[name]]) + 1]] <<- cbind(data.table(...), table)
attempt <- function(case, what, work) {
  failed <- tryCatch({force(work); NULL}, error = conditionMessage)
  if (!is.null(failed)) keep("errors", data.table(message = paste0(what, ": ", failed)),
                             case = case)
}
name_columns <- function(table) {
  table <- as.data.table(table)
  setnames(table, sub("_full$", "", names(table)))
}
# Edges of a graph, the smaller end first, with the colours of subgraph 3.
take_edges <- function(graph) {
  edges <- name_columns(igraph::as_data_frame(graph))
  edges[, grep("^object_ids", names(edges)) := NULL]
  ends <- list(source = pmin(edges$from, edges$to), target = pmax(edges$from, edges$to))
  if (!is.null(V(graph)$color_v)) {
    colours <- setNames(V(graph)$color_v, V(graph)$name)
    edges[, c("color_source", "color_target") := list(colours[ends$source], colours[ends$target])]
  }
  cbind(as.data.table(ends), edges[, !c("from", "to")])
}
make_network <- function(case, pairs, fast_net, subgraph, quantile) {
  network <- paste0(if (fast_net) "fast" else "plain", subgraph)
  make <- function(objects)
    generate_coordinated_network(pairs, fast_net = fast_net, edge_weight = quantile,
                                 subgraph = subgraph, objects = objects)
  graph <- make(TRUE)
  keep("edges", take_edges(graph), case = case, network = network)
  if (subgraph == 0) {  # that ids of objects are kept changes nothing else
    without <- make(FALSE)
    if (!isTRUE(all.equal(take_edges(graph), take_edges(without)))) stop("objects change edges")
  }
  for (threshold in c("none", "full", if (fast_net) "fast")) {
    key <- list(case = case, network = network, threshold = threshold)
    attempt(case, paste("account_stats", network, threshold), {
      accounts <- account_stats(graph, pairs, threshold)
      if (subgraph == 0 &&
          !isTRUE(all.equal(accounts, account_stats(without, pairs, threshold))))
        stop("objects change accounts")
      do.call(keep, c(list("accounts", name_columns(accounts)), key))
    })
    attempt(case, paste("group_stats", network, threshold),
            do.call(keep, c(list("groups", group_stats(graph, threshold)), key)))
  }
}
compare <- function(setting) {
  case <- setting$case
  table <- read_table(file.path(given[2], paste0(case, ".csv")))
  pairs <- detect_groups(copy(table), time_window = setting$window,
                         min_participation = setting$min_participation,
                         remove_loops = setting$remove_loops)
  if (!nrow(pairs)) return(NULL)
  flagged <- flag_speed_share(table, copy(pairs), setting$min_participation, setting$fast_window)
  keep("pairs", setnames(copy(flagged), 7, "is_fast"), case = case)
  for (subgraph in 0:1)
    attempt(case, paste0("plain", subgraph),
            make_network(case, pairs, FALSE, subgraph, setting$quantile))
  for (subgraph in c(0, 2, 3))
    attempt(case, paste0("fast", subgraph),
            make_network(case, flagged, TRUE, subgraph, setting$quantile))
}
settings <- fread(file.path(given[2], "settings.csv"), colClasses = list(character = "case"))
for (row in seq_len(nrow(settings)))
  suppressWarnings(attempt(settings$case[row], "detect_groups", compare(settings[row])))
for (name in names(results))
  fwrite(rbindlist(results[[name]], fill = TRUE),
         file.path(given[2], paste0("result_", name, ".csv")))
"""
_QUT_RUN = """
import contextlib, csv, json, os, sqlite3, sys, time

checkout, given = sys.argv[1:]
sys.path.insert(0, checkout)
from coordination_network_toolkit import compute_networks, preprocess

def main():
    wanted = json.load(open(given))
    figures = {}
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        started = time.perf_counter()
        preprocess.preprocess_csv_files(wanted["database"], [wanted["messages"]])
        figures["load"] = time.perf_counter() - started
        for run in wanted["runs"]:
            figures[run["name"]] = [compute(wanted, run) for _ in range(wanted["n_calls"])]
            write(wanted, run)
    json.dump(figures, open(wanted["figures"], "w"))

def compute(wanted, run):
    network = wanted["network"]
    name = "co_retweet_parallel" if network == "co_retweet" else network + "_network"
    started = time.perf_counter()
    getattr(compute_networks, "compute_" + name)(
        wanted["database"], run["window"], n_threads=wanted["n_threads"],
        min_edge_weight=run["min_weight"])
    return time.perf_counter() - started

def write(wanted, run):
    query = "select user_1, user_2, weight from " + wanted["network"] + "_network"
    with open(run["result"], "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["source", "target", "weight"])
        writer.writerows(sqlite3.connect(wanted["database"]).execute(query))

if __name__ == "__main__":
    main()
"""
_LIMIT_BYTES, _LIMIT_SECONDS = 16 << 30, 540


def describe_limits() -> str:
    return f"limits {_LIMIT_BYTES >> 30} GiB of address space, {_LIMIT_SECONDS} s"


class PeerError(Exception):
    """A peer ended without a result; the message is its own last word."""


def find_peer(variable: str) -> Path | None:
    """Return the checkout that a variable of the environment names, if it does."""
    if not os.environ.get(variable):
        return None
    checkout = Path(os.environ[variable]).resolve()
    if not checkout.is_dir():
        raise SystemExit(f"{variable} is {checkout}, which is no folder; name a checkout.")
    return checkout


def time_detect_groups(
    checkout: Path, shares: Path, folder: Path, *, window: int, min_participation: int
) -> tuple[dict[str, float], pl.DataFrame]:
    """Return the pairs, and what the call alone took: seconds, memory before and at most (GB)."""
    _run_r(_R_TIME, folder, checkout, shares, window, min_participation, folder)
    seconds, resident, peak = map(float, (folder / "figures.txt").read_text().split())
    figures = {"seconds": seconds, "resident": resident * 1024 / 1e9, "peak": peak * 1024 / 1e9}
    return figures, read_text(folder / "pairs.csv")


def read_memory(name: str) -> float:
    """Return a figure of this process's status in GB: VmRSS is held now, VmHWM was at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(name))
    return int(line.split()[1]) * 1024 / 1e9


def compare_coortweet(checkout: Path, folder: Path) -> dict[str, pl.DataFrame]:
    """Run R over ``settings.csv`` and the tables of its cases; return its tables by name."""
    _run_r(_R_COMPARE, folder, checkout, folder)
    return {
        name: read_text(folder / f"result_{name}.csv")
        for name in ("pairs", "edges", "accounts", "groups", "errors")
    }


def _run_r(text: str, folder: Path, *arguments: object) -> None:
    script = folder / "peer.R"
    script.write_text(_R_FUNCTIONS + text)
    # In the C locale R orders text by bytes, wherever it runs.
    _run_limited(["Rscript", "--vanilla", script, *arguments], {"LC_ALL": "C"})


def run_toolkit(checkout: Path, messages: Path, folder: Path, runs: list[dict], **wanted) -> dict:
    """Load messages and compute a network with each setting.

    Parameters
    ----------
    messages
        CSV in the toolkit's order of columns.
    runs
        name, window (seconds), min_weight.
    **wanted
        network (co_retweet, co_link, co_reply, co_tweet), n_calls, n_threads.

    Returns
    -------
        ``load``: seconds; by name, the seconds of each call; ``edges``: by name, the result.
    """
    database, figures = folder / "toolkit.db", folder / "figures.json"
    for old in folder.glob("toolkit.db*"):
        old.unlink()
    runs = [run | {"result": str(folder / f"toolkit_{run['name']}.csv")} for run in runs]
    wanted |= {"messages": str(messages), "database": str(database), "figures": str(figures)}
    script, given = folder / "peer.py", folder / "wanted.json"
    script.write_text(_QUT_RUN)
    given.write_text(json.dumps(wanted | {"runs": runs}))
    python = os.environ.get("GPU_COORD_QUT_PYTHON", sys.executable)
    _run_limited([python, script, checkout, given])
    edges = {run["name"]: read_text(Path(run["result"])) for run in runs}
    return json.loads(figures.read_text()) | {"edges": edges}


def read_text(path: Path) -> pl.DataFrame:
    """Return a CSV as text, that of an empty table too."""
    if not path.read_text().strip():
        return pl.DataFrame()
    return pl.read_csv(path, infer_schema=False).fill_null("")


def _run_limited(command: list[object], environment: dict[str, str] | None = None) -> None:
    """Run a peer within limits of memory and time, which protect those who share the machine."""
    limited = ["sh", "-c", 'ulimit -v "$0" && exec "$@"', _LIMIT_BYTES >> 10, *command]
    try:
        ended = subprocess.run(
            [str(word) for word in limited], env=os.environ | (environment or {}),
            capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PeerError(f"had no result in {_LIMIT_SECONDS} s") from None
    if ended.returncode:
        raise PeerError(f"ended with {ended.returncode}: {_find_error(ended.stderr)}")


def _find_error(said: str) -> str:
    """Return the lines that say what went wrong: R's second one is the reason, or where it was."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [n for n, line in enumerate(lines) if "rror" in line]
    return " ".join(lines[told[-1] :][:2] if told else lines[-1:])
