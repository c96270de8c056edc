// The hot loops over pairs of accounts, on the GPU; gpu_pairs.py says what the arrays are.
//
// Every loop over items strides by the grid, so any grid does. Offsets have 64 bits: rows times
// accounts pass 2^31 early. No thread waits for another. Sums are of integers, or of floats that one
// thread adds up in a fixed order: the results do not depend on the order of the threads.

__device__ __forceinline__ long long first_item() {
    return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ long long item_stride() {
    return static_cast<long long>(gridDim.x) * blockDim.x;
}

__device__ __forceinline__ long long lesser(long long a, long long b) {
    return a < b ? a : b;
}

// The first position in the ascending values[start:stop] that holds >= wanted.
__device__ long long find_first(const int *values, long long start, long long stop,
                                long long wanted) {
    while (start < stop) {
        const long long middle = start + (stop - start) / 2;
        if (values[middle] < wanted)
            start = middle + 1;
        else
            stop = middle;
    }
    return start;
}

// The range that holds an item: the last range below n_ranges with starts[range] <= item.
// starts[range] <= item must hold. Doubling steps make near ranges cheap and far ones possible.
__device__ long long find_range(const long long *starts, long long range, long long n_ranges,
                                long long item) {
    long long step = 1;
    while (range + step < n_ranges && starts[range + step] <= item) {
        range += step;
        step *= 2;
    }
    long long stop = lesser(range + step, n_ranges);
    while (stop - range > 1) {
        const long long middle = range + (stop - range) / 2;
        if (starts[middle] <= item)
            range = middle;
        else
            stop = middle;
    }
    return range;
}

// Count x in values[start:stop] with x + lag in values[other:other_stop], both ascending.
__device__ int count_shifted(const int *values, long long start, long long stop, long long other,
                             long long other_stop, long long lag) {
    if (stop - start > other_stop - other) {
        const long long own = start, own_stop = stop;
        start = other, stop = other_stop, other = own, other_stop = own_stop, lag = -lag;
    }
    int count = 0;
    for (; start < stop; ++start) {
        const long long wanted = values[start] + lag;
        other = find_first(values, other, other_stop, wanted);
        if (other == other_stop) break;
        count += values[other] == wanted;
    }
    return count;
}

// Write the positions at which two ascending runs of strata hold the same one.
__device__ void meet(long long start, long long stop, long long other, long long other_stop,
                     const int *stratum, int *met, int *met_other) {
    for (; start < stop; ++start) {
        other = find_first(stratum, other, other_stop, stratum[start]);
        if (other == other_stop) break;
        if (stratum[other] == stratum[start]) {
            *met++ = static_cast<int>(start);
            *met_other++ = static_cast<int>(other);
        }
    }
}

// Add one to counts[source - first, target] for each coincidence of a tile's sources.
// The coincidences are numbered from work_start, cell by cell, and an item is a chunk of them:
// a column with all accounts is shared among threads, a thousand small ones share a thread.
extern "C" __global__ void tally(long long n_items, long long chunk, long long n_work,
                                 long long first, long long n_rows, long long n_accounts,
                                 const long long *account_start, const int *cell_column,
                                 const int *lagged_column, const long long *column_start,
                                 const int *column_account, const long long *work_start,
                                 int *counts) {
    const long long first_cell = account_start[first];
    const long long n_cells = account_start[first + n_rows] - first_cell;
    for (long long item = first_item(); item < n_items; item += item_stride()) {
        long long work = item * chunk, cell = 0, row = 0;
        const long long end = lesser(work + chunk, n_work);
        while (work < end) {
            cell = find_range(work_start, cell, n_cells, work);
            row = find_range(account_start + first, row, n_rows, first_cell + cell);
            const int column = lagged_column[cell_column[first_cell + cell]];
            const int *accounts = column_account + column_start[column];
            const long long stop = lesser(work_start[cell + 1], end);
            for (; work < stop; ++work) {
                const int target = accounts[work - work_start[cell]];
                if (target != first + row) atomicAdd(&counts[row * n_accounts + target], 1);
            }
        }
    }
}

// Count the entries of each segment of a row that are large enough; an item is a segment.
extern "C" __global__ void count_kept(long long n_items, long long n_segments, long long segment,
                                      long long n_accounts, long long min_count,
                                      const int *counts, long long *n_kept) {
    for (long long item = first_item(); item < n_items; item += item_stride()) {
        const long long start = item % n_segments * segment;
        const long long stop = lesser(start + segment, n_accounts);
        const int *row = counts + item / n_segments * n_accounts;
        int n = 0;
        for (long long target = start; target < stop; ++target) n += row[target] >= min_count;
        n_kept[item] = n;
    }
}

// Write the entries that count_kept counted, in their order.
extern "C" __global__ void write_kept(long long n_items, long long n_segments, long long segment,
                                      long long n_accounts, long long min_count,
                                      const int *counts, const long long *kept_start,
                                      int *targets, int *kept) {
    for (long long item = first_item(); item < n_items; item += item_stride()) {
        const long long start = item % n_segments * segment;
        const long long stop = lesser(start + segment, n_accounts);
        const int *row = counts + item / n_segments * n_accounts;
        long long position = kept_start[item];
        for (long long target = start; target < stop; ++target) {
            if (row[target] >= min_count) {
                targets[position] = static_cast<int>(target);
                kept[position] = row[target];
                ++position;
            }
        }
    }
}

// Count the strata that both accounts of each pair used; an item is a pair.
extern "C" __global__ void count_shared(long long n_items, const int *source, const int *target,
                                        const long long *account_start, const int *stratum,
                                        long long *n_shared) {
    for (long long item = first_item(); item < n_items; item += item_stride()) {
        const long long *i = account_start + source[item], *j = account_start + target[item];
        n_shared[item] = count_shifted(stratum, i[0], i[1], j[0], j[1], 0);
    }
}

// List the groups of the strata that both accounts of each pair used; an item is a pair.
extern "C" __global__ void list_shared(long long n_items, const int *source, const int *target,
                                       const long long *shared_start,
                                       const long long *account_start, const int *stratum,
                                       int *source_group, int *target_group) {
    for (long long item = first_item(); item < n_items; item += item_stride()) {
        const long long *i = account_start + source[item], *j = account_start + target[item];
        int *met = source_group + shared_start[item];
        int *met_other = target_group + shared_start[item];
        if (i[1] - i[0] <= j[1] - j[0])
            meet(i[0], i[1], j[0], j[1], stratum, met, met_other);
        else
            meet(j[0], j[1], i[0], i[1], stratum, met_other, met);
    }
}

// Count the coincidences of two groups; an item is a shared stratum of a pair.
extern "C" __global__ void count_both(long long n_items, long long lag, const int *source_group,
                                      const int *target_group, const long long *group_start,
                                      const int *cell_bin, int *count) {
    for (long long item = first_item(); item < n_items; item += item_stride()) {
        const long long *i = group_start + source_group[item];
        const long long *j = group_start + target_group[item];
        count[item] = count_shifted(cell_bin, i[0], i[1], j[0], j[1], lag);
    }
}

// Sum the products of factors over the strata that both accounts of each pair used, by column of
// the factors; an item is a pair, and its sums are 0 before. The shorter row is searched in the
// longer one. __dmul_rn and __dadd_rn are never fused: a host rounds as often.
extern "C" __global__ void sum_products(long long n_items, long long n_sums, const int *source,
                                        const int *target, const long long *source_start,
                                        const int *source_stratum, const double *source_factors,
                                        const long long *target_start, const int *target_stratum,
                                        const double *target_factors, double *sums) {
    for (long long item = first_item(); item < n_items; item += item_stride()) {
        long long i = source_start[source[item]], j = target_start[target[item]];
        const long long stop = source_start[source[item] + 1LL];
        const long long other_stop = target_start[target[item] + 1LL];
        const bool is_short = stop - i <= other_stop - j;
        while (i < stop && j < other_stop) {
            if (is_short)
                j = find_first(target_stratum, j, other_stop, source_stratum[i]);
            else
                i = find_first(source_stratum, i, stop, target_stratum[j]);
            if (i < stop && j < other_stop && source_stratum[i] == target_stratum[j]) {
                const double *a = source_factors + i * n_sums, *b = target_factors + j * n_sums;
                double *sum = sums + item * n_sums;
                for (long long k = 0; k < n_sums; ++k)
                    sum[k] = __dadd_rn(sum[k], __dmul_rn(a[k], b[k]));
            }
            if (is_short)
                ++i;
            else
                ++j;
        }
    }
}
