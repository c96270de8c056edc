// What a kernel without __syncthreads and warp intrinsics needs of CUDA, on a host.
// The threads of a launch run one after the other, in an order that a seed chooses, or shared out
// to a few host threads for a race detector. Not here: warps, shared memory, caches, limits.
#pragma once

#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline

struct dim3 {
    unsigned x, y, z;
};

inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

template <class T>
inline T atomicAdd(T *address, T value) {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

// Rounded products and sums; run.py tells the compiler not to fuse them.
inline double __dmul_rn(double a, double b) { return a * b; }

inline double __dadd_rn(double a, double b) { return a + b; }

namespace shim {

struct Launch {
    dim3 grid, block;
    long long first_block, last_block;  // the blocks that are run, the last one excluded
    unsigned long long seed;            // 0: in ascending order
    long long n_workers;                // host threads
};

// i -> (offset + i * step) % n visits every number below n once where step and n share no factor.
struct Order {
    unsigned long long n, step, offset;

    Order(unsigned long long n, unsigned long long seed) : n(n), step(1), offset(0) {
        if (seed == 0 || n == 0) return;
        offset = seed % n;
        step = (seed * 2654435761ULL) % n;
        while (std::gcd(step, n) != 1) ++step;
    }
    unsigned long long at(unsigned long long i) const {
        return static_cast<unsigned long long>((offset + (unsigned __int128)i * step) % n);
    }
};

inline dim3 unravel(unsigned long long i, dim3 shape) {
    return {static_cast<unsigned>(i % shape.x), static_cast<unsigned>(i / shape.x % shape.y),
            static_cast<unsigned>(i / shape.x / shape.y)};
}

template <class Kernel>
void run(const Launch &launch, Kernel kernel) {
    const dim3 block = launch.block;
    const unsigned long long n_threads = 1ULL * block.x * block.y * block.z;
    const auto first = static_cast<unsigned long long>(launch.first_block);
    const auto n_blocks = static_cast<unsigned long long>(launch.last_block) - first;
    const Order order(n_blocks * n_threads, launch.seed);
    const auto work = [&](unsigned long long worker, unsigned long long n_workers) {
        blockDim = block;
        gridDim = launch.grid;
        for (unsigned long long i = worker; i < order.n; i += n_workers) {
            const unsigned long long thread = order.at(i);
            blockIdx = unravel(first + thread / n_threads, launch.grid);
            threadIdx = unravel(thread % n_threads, block);
            kernel();
        }
    };
    if (launch.n_workers == 1) return work(0, 1);
    std::vector<std::thread> workers;
    const auto n_workers = static_cast<unsigned long long>(launch.n_workers);
    for (unsigned long long worker = 0; worker < n_workers; ++worker)
        workers.emplace_back(work, worker, n_workers);
    for (auto &worker : workers) worker.join();
}

}  // namespace shim
