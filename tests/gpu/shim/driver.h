// An executable that runs one launch on arrays from files, and writes them back: a sanitizer
// needs a program of its own, and arrays that end where they end.
// Needs: the generated launch_kernel(name, launch, arguments).
#pragma once

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

struct Argument {
    char kind;  // p, an array; s, a value
    std::size_t n_bytes;
    long long shift;  // bytes that the kernel's pointer lies before the array
    char *bytes;
};

int main(int, char **argv) {
    const std::string folder = argv[1];
    std::ifstream plan(folder + "/plan");
    std::string name;
    shim::Launch launch;
    std::size_t n_arguments;
    plan >> name >> launch.grid.x >> launch.grid.y >> launch.grid.z >> launch.block.x >>
        launch.block.y >> launch.block.z >> launch.first_block >> launch.last_block >>
        launch.seed >> launch.n_workers >> n_arguments;
    std::vector<Argument> arguments(n_arguments);
    std::vector<void *> pointers;
    for (std::size_t i = 0; i < n_arguments; ++i) {
        Argument &argument = arguments[i];
        plan >> argument.kind >> argument.n_bytes >> argument.shift;
        argument.bytes = static_cast<char *>(std::malloc(argument.n_bytes));
        std::ifstream(folder + "/" + std::to_string(i), std::ios::binary)
            .read(argument.bytes, static_cast<std::streamsize>(argument.n_bytes));
        pointers.push_back(reinterpret_cast<void *>(
            reinterpret_cast<std::uintptr_t>(argument.bytes) -
            static_cast<std::uintptr_t>(argument.shift)));
    }
    if (!plan || !launch_kernel(name, launch, pointers.data())) {
        std::cerr << "no launch of " << name << "\n";
        return 2;
    }
    for (std::size_t i = 0; i < n_arguments; ++i) {
        if (arguments[i].kind == 'p')
            std::ofstream(folder + "/" + std::to_string(i), std::ios::binary)
                .write(arguments[i].bytes, static_cast<std::streamsize>(arguments[i].n_bytes));
        std::free(arguments[i].bytes);
    }
    return 0;
}
