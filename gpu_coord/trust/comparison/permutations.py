"""Shares of one kind -> p-values of pairs by copies in which things changed hands, time ignored.

The null of null-model-coord: what is used is dealt out again over all uses. Every account keeps its
number of uses, and every thing its number; who used what, and when, does not matter.
"""

from typing import Any

import numpy as np

from gpu_coord.trust.comparison.cosines import count_as_similar, list_cosines, weigh_rows
from gpu_coord.trust.comparison.figures import Pairs

MIN_USERS, MIN_USES = 2, 10  # of a thing that counts


def permute_uses(
    account: Any, object: Any, *, n_accounts: int, n_permutations: int, seed: int, threads: int
) -> Pairs | None:
    """Return the p-value of each pair with something in common, (k + 1) / (n + 1).

    k of n copies have a cosine at least as large. Weights are counts times log(n / d), d of n
    accounts with the thing, anew in each copy.

    Parameters
    ----------
    account, object
        Of each use, (n_uses,), of one kind.
    n_accounts
        Accounts, those without a use included.
    n_permutations, seed
        Copies, and their chance numbers.
    threads
        Blocks of accounts to work on at a time.

    Returns
    -------
        ``score`` is the p-value; None where the pairs are too many to be held.
    """
    account, object = _keep_common(account, object)
    n = max(np.unique(account).size, 1)

    def weigh(objects: Any) -> Any:
        return weigh_rows(
            account, objects, n_accounts, lambda n_users: np.log(n / np.maximum(n_users, 1))
        )

    pairs = list_cosines(weigh(object), threads=threads)
    if pairs is None:
        return None
    counts = np.zeros(pairs.source.size, np.int32)
    chance = np.random.default_rng(seed)
    for _ in range(n_permutations):
        count_as_similar(weigh(chance.permutation(object)), pairs, counts, threads=threads)
    return pairs._replace(score=(counts + 1) / (n_permutations + 1))


def _keep_common(account: Any, object: Any) -> tuple[Any, Any]:
    """Return the uses of things with enough users and uses."""
    key = np.unique(object.astype(np.int64) << 32 | account)
    n_users = np.bincount(key >> 32, minlength=int(object.max(initial=-1)) + 1)
    n_uses = np.bincount(object, minlength=n_users.size)
    kept = ((n_users >= MIN_USERS) & (n_uses >= MIN_USES))[object]
    return account[kept], object[kept]
